//! Logging in where the password does not travel: one for Kafka's door and PostgreSQL's.

use std::sync::Arc;

use posthouse_access::Mechanism;
use posthouse_access::scram::{ChannelBinding, ClientFirst, Exchange, Nonce, ScramError};

use super::login::held;
use super::{Knock, Login, LoginError};
use crate::Broker;

/// An exchange with one client.
pub struct ScramLogin {
    broker: Arc<Broker>,
    knock: Knock,
    mechanism: Mechanism,
    binding: ChannelBinding,
    step: Option<(String, Exchange)>,
}

impl Broker {
    /// Begins an exchange.
    pub fn scram(&self, knock: Knock, mechanism: Mechanism, binding: ChannelBinding) -> ScramLogin {
        ScramLogin { broker: held(self), knock, mechanism, binding, step: None }
    }
}

impl ScramLogin {
    /// Takes the client's first message, and gives what it is asked. `user` is whom it named before,
    /// in a protocol where the message does not count.
    ///
    /// # Errors
    /// [`LoginError::Exchange`] when the message is not what it should be.
    pub async fn first(
        &mut self,
        message: &[u8],
        user: Option<&str>,
    ) -> Result<String, LoginError> {
        let first = match ClientFirst::parse(message, &self.binding) {
            Ok(first) if first.is_delegated() => Err(ScramError::Extension),
            other => other,
        };
        let first = first.map_err(|error| self.failed("", error))?;
        let user = user.unwrap_or(first.user()).to_owned();
        self.broker.slow_down(self.knock, &user).await;
        let gate = self.broker.gate();
        let verifier = gate.current().verifier(&user, self.mechanism, gate.config().iterations);
        let (exchange, challenge) = first.challenge(verifier, &Nonce::random());
        self.step = Some((user, exchange));
        Ok(challenge)
    }

    /// Takes the client's last message, and gives our own with the login.
    ///
    /// # Errors
    /// [`LoginError`].
    pub fn last(&mut self, message: &[u8]) -> Result<(String, Login), LoginError> {
        let Some((user, exchange)) = self.step.take() else {
            return Err(self.failed("", ScramError::Malformed("there was no first message")));
        };
        let answer = exchange.finish(message).map_err(|error| self.failed(&user, error))?;
        // The user may have gone since the challenge.
        let access = self.broker.gate().current();
        let known = access.user(&user).filter(|user| !user.disabled);
        let login = known.map(|user| Login::of_user(&user.name)).ok_or(LoginError::Refused);
        let login = self.broker.settle_login(self.knock, &user, self.mechanism.name(), login)?;
        Ok((answer, login))
    }

    fn failed(&self, user: &str, error: ScramError) -> LoginError {
        let error = match error {
            ScramError::Proof => LoginError::Refused,
            other => LoginError::Exchange(other),
        };
        let outcome = Err(error.clone());
        let _counted = self.broker.settle_login(self.knock, user, self.mechanism.name(), outcome);
        error
    }
}
