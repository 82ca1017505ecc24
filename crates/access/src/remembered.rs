//! Answers of the last second, so that what a busy sender asks over and over is decided once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::grant::{Asked, Grant, Rules};
use crate::names::NAME_BYTES_MAX;
use crate::permission::Permission;
use crate::principal::Principal;
use crate::refused::{PURPOSE_BYTES_MAX, Refused};

/// How long an answer holds. A policy that looks at the time is that late at most.
const HOLDS_NS: i64 = 1_000_000_000;
/// Answers at once (I12).
const ANSWERS_MAX: usize = 4_096;

/// Answers, by all that was asked.
#[derive(Default)]
pub(crate) struct Remembered {
    answers: Mutex<HashMap<Key, Answer>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    principal: Principal,
    permission: Permission,
    trail: Option<String>,
    model: Option<String>,
    purpose: Option<String>,
}

struct Answer {
    at: i64,
    /// Of the policies that decided.
    digest: [u8; 32],
    said: Arc<Result<Grant, Refused>>,
}

impl Remembered {
    /// What the rules say, or said less than a second ago.
    pub fn decide(&self, rules: &Rules, asked: &Asked<'_>) -> Result<Grant, Refused> {
        let long = |text: Option<&str>, max: usize| text.is_some_and(|text| text.len() > max);
        if long(asked.resource.trail, NAME_BYTES_MAX)
            || long(asked.resource.model, NAME_BYTES_MAX)
            || long(asked.purpose, PURPOSE_BYTES_MAX)
        {
            return rules.decide(asked);
        }
        let key = Key {
            principal: asked.principal.clone(),
            permission: asked.permission,
            trail: asked.resource.trail.map(str::to_owned),
            model: asked.resource.model.map(str::to_owned),
            purpose: asked.purpose.map(str::to_owned),
        };
        let known =
            self.answers.lock().get(&key).filter(|answer| answer.holds(rules, asked)).map(|it| Arc::clone(&it.said));
        if let Some(said) = known {
            return Result::clone(&said);
        }
        let said = rules.decide(asked);
        let mut answers = self.answers.lock();
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, answer| answer.holds(rules, asked));
        }
        // Where as many were asked within a second, most are asked once: they are decided each time.
        if answers.len() < ANSWERS_MAX {
            answers.insert(key, Answer { at: asked.now_ns, digest: rules.digest, said: Arc::new(said.clone()) });
        }
        said
    }
}

impl Answer {
    fn holds(&self, rules: &Rules, asked: &Asked<'_>) -> bool {
        let fresh = self.at <= asked.now_ns && asked.now_ns < self.at.saturating_add(HOLDS_NS);
        // A time box opens and closes at its moment, and not a second later.
        let same_time =
            |at| asked.principal.assignments.iter().all(|it| it.is_in_time(at) == it.is_in_time(asked.now_ns));
        fresh && self.digest == rules.digest && same_time(self.at)
    }
}
