//! The first start: a secret for decoys, and the first administrator.

use posthouse_access::{AccessChange, UserName, random_key};
use posthouse_types::Principal;

use super::{AccessError, UserChange};
use crate::Broker;

/// Who the first administrator is.
const ADMINISTRATOR: &str = "admin";

impl Broker {
    /// Makes what every node has before anybody may log in.
    pub(crate) async fn prepare_access(&self) -> Result<(), AccessError> {
        if self.gate().current().has_secret() {
            return Ok(());
        }
        let _in_order = self.gate().changes().lock().await;
        self.keep_access(vec![AccessChange::SecretMade { secret: random_key().to_vec() }]).await
    }

    /// Makes the first administrator, `admin`, where clients must log in and there is no user yet;
    /// `None` when there is one, or none is needed.
    ///
    /// # Errors
    /// [`AccessError`] when the password is refused, or cannot be kept.
    pub async fn make_first_administrator(
        &self,
        password: Vec<u8>,
    ) -> Result<Option<UserName>, AccessError> {
        if !self.gate().is_required() || self.gate().current().users().len() > 0 {
            return Ok(None);
        }
        let name = UserName::new(ADMINISTRATOR)?;
        let changes = vec![UserChange::Superuser(true), UserChange::Password(password)];
        self.create_user(&Principal::node(), name.clone(), changes).await?;
        Ok(Some(name))
    }
}
