//! How long an interval is. All of them begin in UTC.

use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000_000;

/// The length of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
}

impl By {
    /// How long it is.
    pub fn length_ns(self) -> i64 {
        let seconds = match self {
            By::Minute => 60,
            By::Hour => 3_600,
            By::Day => 86_400,
            By::Week => 604_800,
        };
        seconds * SECOND
    }

    /// When the first one began after 1970: that year began on a Thursday.
    fn first_ns(self) -> i64 {
        if self == By::Week { 4 * 86_400 * SECOND } else { 0 }
    }

    /// When the interval begins that a moment is in. The first of all is cut where time begins.
    pub(crate) fn start(self, ns: i64) -> i64 {
        let into = (i128::from(ns) - i128::from(self.first_ns())).rem_euclid(i128::from(self.length_ns()));
        i64::try_from(i128::from(ns) - into).unwrap_or(i64::MIN)
    }

    /// The same in SQL, of times that are no nearer to the ends of time than an interval.
    pub(super) fn start_in_sql(self, column: &str) -> String {
        let (length, first) = (self.length_ns(), self.first_ns());
        format!("({column} - (({column} - {first}) % {length} + {length}) % {length})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::rfc3339;

    #[test]
    fn intervals_begin_where_people_think() {
        let noon = 1_793_534_400_000_000_000 + 61 * SECOND; // Sunday, 2026-11-01T12:01:01Z
        let starts = [By::Minute, By::Hour, By::Day, By::Week].map(|by| rfc3339(by.start(noon)));
        let wanted = ["2026-11-01T12:01:00Z", "2026-11-01T12:00:00Z", "2026-11-01T00:00:00Z", "2026-10-26T00:00:00Z"];
        assert_eq!(starts, wanted);
        assert_eq!(rfc3339(By::Week.start(-1)), "1969-12-29T00:00:00Z");
        assert_eq!(By::Day.start(i64::MIN), i64::MIN);
    }
}
