//! All users, found by name and by what else they come in with.
//!
//! # Invariants
//! - A certificate's subject or a key leads to a user that has it. It is one user's only: whoever
//!   makes changes sees to that, and should two have it all the same, it stays with the first.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{User, UserName};

/// See the module. Kept as a list of users.
#[derive(Clone, Default)]
pub(crate) struct Users {
    by_name: BTreeMap<UserName, User>,
    by_certificate: HashMap<String, UserName>,
    by_curve_key: HashMap<String, UserName>,
}

impl Users {
    /// A user is this from now on.
    pub(crate) fn put(&mut self, user: User) {
        self.remove(&user.name);
        for subject in &user.certificates {
            self.by_certificate.entry(subject.clone()).or_insert_with(|| user.name.clone());
        }
        for key in &user.curve_keys {
            self.by_curve_key.entry(key.clone()).or_insert_with(|| user.name.clone());
        }
        self.by_name.insert(user.name.clone(), user);
    }

    pub(crate) fn remove(&mut self, name: &UserName) {
        let Some(user) = self.by_name.remove(name) else { return };
        let forget = |index: &mut HashMap<String, UserName>, proof: &String| {
            if index.get(proof) == Some(name) {
                index.remove(proof);
            }
        };
        user.certificates.iter().for_each(|subject| forget(&mut self.by_certificate, subject));
        user.curve_keys.iter().for_each(|key| forget(&mut self.by_curve_key, key));
    }

    pub(crate) fn get(&self, name: &UserName) -> Option<&User> {
        self.by_name.get(name)
    }

    pub(crate) fn of_certificate(&self, subject: &str) -> Option<&User> {
        self.by_name.get(self.by_certificate.get(subject)?)
    }

    pub(crate) fn of_curve_key(&self, key: &str) -> Option<&User> {
        self.by_name.get(self.by_curve_key.get(key)?)
    }

    /// By name.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &User> {
        self.by_name.values()
    }
}

impl Serialize for Users {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Users, D::Error> {
        let mut users = Users::default();
        Vec::<User>::deserialize(source)?.into_iter().for_each(|user| users.put(user));
        Ok(users)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn user(name: &str, certificates: &BTreeSet<u8>, keys: &BTreeSet<u8>) -> User {
        let mut user = User::new(UserName::new(name).unwrap());
        user.certificates = certificates.iter().map(|one| format!("CN={one}")).collect();
        user.curve_keys = keys.iter().map(|one| format!("key {one}")).collect();
        user
    }

    fn name(user: Option<&User>) -> Option<&str> {
        user.map(|user| user.name.as_str())
    }

    #[test]
    fn what_a_user_has_no_more_leads_nowhere() {
        let mut users = Users::default();
        users.put(user("alice", &[1, 2].into(), &[1].into()));
        users.put(user("alice", &[2, 3].into(), &[].into()));
        assert_eq!(name(users.of_certificate("CN=1")), None);
        assert_eq!(name(users.of_certificate("CN=2")), Some("alice"));
        assert_eq!(name(users.of_certificate("CN=3")), Some("alice"));
        assert_eq!(name(users.of_curve_key("key 1")), None);
        users.remove(&UserName::new("alice").unwrap());
        assert_eq!(name(users.of_certificate("CN=3")), None);
    }

    #[test]
    fn what_is_one_users_stays_so() {
        let mut users = Users::default();
        users.put(user("alice", &[1].into(), &[1].into()));
        users.put(user("bob", &[1].into(), &[1].into()));
        assert_eq!(name(users.of_certificate("CN=1")), Some("alice"));
        users.remove(&UserName::new("bob").unwrap());
        assert_eq!(name(users.of_curve_key("key 1")), Some("alice"));
    }

    proptest! {
        /// Whatever is put and removed, and over a snapshot: what is found is what a search finds.
        #[test]
        fn the_index_says_what_a_search_would(
            steps in prop::collection::vec(
                (0_u8..4, prop::option::of(prop::collection::btree_set(0_u8..6, 0..3))),
                0..20,
            ),
        ) {
            let mut users = Users::default();
            for (who, proofs) in steps {
                let who = format!("user{who}");
                match proofs {
                    None => users.remove(&UserName::new(&who).unwrap()),
                    Some(proofs) => {
                        // As whoever makes changes has it: nobody takes what is another's.
                        let free = |proof: &u8| {
                            let owner = users.of_certificate(&format!("CN={proof}"));
                            owner.is_none_or(|owner| owner.name.as_str() == who)
                        };
                        let proofs = proofs.into_iter().filter(free).collect();
                        users.put(user(&who, &proofs, &proofs));
                    }
                }
            }
            let json = serde_json::to_string(&users).unwrap();
            for users in [&users, &serde_json::from_str::<Users>(&json).unwrap()] {
                for proof in 0..6 {
                    let (subject, key) = (format!("CN={proof}"), format!("key {proof}"));
                    let searched = users.iter().find(|user| user.certificates.contains(&subject));
                    prop_assert_eq!(name(users.of_certificate(&subject)), name(searched));
                    let searched = users.iter().find(|user| user.curve_keys.contains(&key));
                    prop_assert_eq!(name(users.of_curve_key(&key)), name(searched));
                }
            }
        }
    }
}
