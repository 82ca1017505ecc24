//! What can be asked for.

/// Everything that a route or verb may need. Its [name](Permission::name) is the action's in access policies, but for
/// [`Permission::Append`], which there is one action a kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Put records on a trail; which kinds is said by the [`Grant`](crate::Grant).
    Append,
    /// Read one record, or its case file.
    ReadRecord,
    /// Find records by a filter.
    Search,
    /// Ask in SQL.
    Sql,
    /// Take records out, in a folder that checks offline.
    Export,
    /// Take one decision out, as evidence.
    Evidence,
    /// Compare an outcome between groups of people.
    Groups,
    /// Draw a sample.
    Sample,
    /// Hold counts from elsewhere against the trail's.
    Reconcile,
    /// Read who read what.
    AccessLog,
    /// The proof that a record is in the log.
    Prove,
    /// The log itself: checkpoint and tiles, which are hashes.
    Log,
    /// What the trail holds, in numbers.
    Stats,
    /// What is missing of producers' sequences.
    Gaps,
    /// Have the trail checked, and read the verdict.
    Verify,
    /// How the server does, in numbers.
    Metrics,
    /// Merge small files.
    Compact,
    /// Settle what is sealed, now.
    Settle,
    /// Keep records from being erased.
    PlaceHold,
    /// Let go of a hold. Takes two.
    ReleaseHold,
    /// Erase parts of records. Takes two.
    Erase,
    /// Make, rotate, list and revoke tokens. Giving a role that reads takes two.
    ManageTokens,
    /// Make trails and change their settings.
    ManageTrails,
    /// Change access policies. Takes two.
    ManagePolicy,
    /// Change keys. Takes two.
    RotateKeys,
    /// Back up, and restore.
    Backup,
}

use Permission::{
    AccessLog, Append, Backup, Compact, Erase, Evidence, Export, Gaps, Groups, Log, ManagePolicy, ManageTokens,
    ManageTrails, Metrics, PlaceHold, Prove, ReadRecord, Reconcile, ReleaseHold, RotateKeys, Sample, Search, Settle,
    Sql, Stats, Verify,
};

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 26] = [
        Append,
        ReadRecord,
        Search,
        Sql,
        Export,
        Evidence,
        Groups,
        Sample,
        Reconcile,
        AccessLog,
        Prove,
        Log,
        Stats,
        Gaps,
        Verify,
        Metrics,
        Compact,
        Settle,
        PlaceHold,
        ReleaseHold,
        Erase,
        ManageTokens,
        ManageTrails,
        ManagePolicy,
        RotateKeys,
        Backup,
    ];

    /// The stable name: of the action in access policies, and in access records.
    pub fn name(self) -> &'static str {
        match self {
            Append => "append",
            ReadRecord => "read-record",
            Search => "search",
            Sql => "sql",
            Export => "export",
            Evidence => "evidence",
            Groups => "groups",
            Sample => "sample",
            Reconcile => "reconcile",
            AccessLog => "access-log",
            Prove => "prove",
            Log => "log",
            Stats => "stats",
            Gaps => "gaps",
            Verify => "verify",
            Metrics => "metrics",
            Compact => "compact",
            Settle => "settle",
            PlaceHold => "place-hold",
            ReleaseHold => "release-hold",
            Erase => "erase",
            ManageTokens => "manage-tokens",
            ManageTrails => "manage-trails",
            ManagePolicy => "manage-policy",
            RotateKeys => "rotate-keys",
            Backup => "backup",
        }
    }

    /// The permission of that name.
    pub fn from_name(name: &str) -> Option<Permission> {
        Permission::ALL.into_iter().find(|permission| permission.name() == name)
    }

    /// Whether an answer tells of what records hold, so that it must be on record before its first byte leaves (I11).
    pub fn reads_payload(self) -> bool {
        matches!(self, ReadRecord | Search | Sql | Export | Evidence | Groups | Sample | Reconcile | AccessLog)
    }

    /// Whether it is asked of the server as a whole, and not of a trail.
    pub fn of_server(self) -> bool {
        matches!(self, Metrics | ManageTokens | ManageTrails | ManagePolicy | RotateKeys | Backup)
    }

    /// Whether one principal alone may not do it: having the permission, it may propose the act, or agree to another's
    /// ([`Access::propose`](crate::Access::propose)).
    pub fn takes_two(self) -> bool {
        matches!(self, Erase | ReleaseHold | ManagePolicy | RotateKeys)
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
