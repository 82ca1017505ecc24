//! A server's folder, and principals who ask.

use std::time::Duration;

use access::{
    Access, Assignment, Credential, Grant, Names, Permission, Principal, PrincipalKind, Refused, Resource, Role,
};
use host::{Host, ManualClock};

/// 2026-03-01T12:00:00Z.
pub const NOW: i64 = 1_772_366_400_000_000_000;
pub const DAY: i64 = 86_400_000_000_000;

pub struct Place {
    pub folder: tempfile::TempDir,
    pub clock: ManualClock,
    pub host: Host,
}

impl Place {
    pub fn new() -> Place {
        let clock = ManualClock::at(NOW);
        let host = Host::builder().clock(clock.clone()).build();
        Place { folder: tempfile::tempdir().unwrap(), clock, host }
    }

    /// A place whose `access.toml` says that.
    pub fn with(settings: &str) -> Place {
        let place = Place::new();
        place.write("access.toml", settings);
        place
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join("access").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn open(&self) -> Access {
        Access::open(&self.host, self.folder.path()).unwrap()
    }

    /// Why it cannot be opened, its folder's name left out.
    pub fn wrong(&self) -> String {
        match Access::open(&self.host, self.folder.path()) {
            Ok(_) => panic!("it opens"),
            Err(error) => error.to_string().replace(&self.folder.path().display().to_string(), "DIR"),
        }
    }

    pub fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub fn now(&self) -> i64 {
        self.host.now_ns()
    }

    pub fn who(&self, access: &Access, text: &str) -> Result<Principal, Refused> {
        access.authenticate(&Credential::Bearer(text), self.now())
    }
}

pub fn role(name: &str) -> Role {
    Role::new(name).unwrap()
}

/// A role on the trail `credit`; of a regulator from a day ago to a day from now.
pub fn on_credit(name: &str) -> Assignment {
    let mut assignment = Assignment::new(role(name), Names::of(["credit"]).unwrap());
    if name == "regulator" {
        (assignment.from, assignment.until) = (Some(NOW - DAY), Some(NOW + DAY));
    }
    assignment
}

/// The same on all trails, and so on the server.
pub fn everywhere(name: &str) -> Assignment {
    Assignment { trails: Names::All, ..on_credit(name) }
}

pub fn person(name: &str, assignments: Vec<Assignment>) -> Principal {
    Principal { id: format!("person:{name}"), kind: PrincipalKind::Person, name: name.to_owned(), assignments }
}

pub fn ask(
    access: &Access,
    principal: &Principal,
    permission: Permission,
    trail: &str,
    purpose: Option<&str>,
) -> Result<Grant, Refused> {
    let resource = if permission.of_server() { Resource::server() } else { Resource::trail(trail) };
    access.authorize(principal, permission, &resource, purpose, NOW)
}
