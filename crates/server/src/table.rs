//! The one table by which everything can be asked (I11). A route is made with the permission that it needs, or with the
//! reason why anyone may ask, or anyone who is known: there is no other way, and a route that says none does not compile. The router, the
//! OpenAPI document and the test of routes × roles × trails are all made from it.

use access::Permission;
use axum::response::Response;
use futures::future::BoxFuture;
use http::Method;

use crate::asked::Asked;
use crate::problem::Problem;

/// What a handler comes to.
pub type Answering = BoxFuture<'static, Result<Response, Problem>>;

/// The name of a parameter that stands for all that are not listed: they are passed over, where others write the query.
pub const OTHERS: &str = "*";

/// What answers.
pub type Handler = fn(Asked) -> Answering;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// This permission, on the route's trail or on the server as a whole.
    Permission(Permission),
    /// That it is known who asks, whoever it is, for this reason.
    Known(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// What may be asked in one way, at one path.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with names in braces.
    pub path: &'static str,
    /// What it needs.
    pub need: Need,
    /// What answers.
    pub handler: Handler,
    /// What it is, for whoever writes a client.
    pub about: About,
}

/// What a route is, for whoever writes a client.
#[derive(Clone, Copy)]
pub struct About {
    /// The operation's name.
    pub id: &'static str,
    /// In one sentence.
    pub summary: &'static str,
    /// Parameters of the query string. It may have no others.
    pub parameters: &'static [Parameter],
    /// The forms of the body, each with an example; none if there is no body.
    pub bodies: &'static [Form],
    /// The forms of the answer, each with an example.
    pub answers: &'static [Form],
}

/// A parameter of a query string.
#[derive(Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// What its values are.
    pub values: Values,
    /// Whether it has to be there.
    pub required: bool,
    /// A value.
    pub example: &'static str,
}

/// What the values of a parameter are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Text.
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A kind of record, or `all`.
    Kind,
    /// An integer from 1 to this.
    Number(usize),
    /// True or false.
    Flag,
}

/// A form of a body or an answer.
#[derive(Clone, Copy)]
pub struct Form {
    /// The media type.
    pub media_type: &'static str,
    /// What stands in it.
    pub says: &'static str,
    /// One, if it is text.
    pub example: &'static str,
}

impl Route {
    /// A route that needs a permission.
    pub const fn new(
        method: Method,
        path: &'static str,
        permission: Permission,
        handler: Handler,
        about: About,
    ) -> Route {
        Route { method, path, need: Need::Permission(permission), handler, about }
    }

    /// A route that anyone may ask who is known, for a reason.
    pub const fn known(method: Method, path: &'static str, why: &'static str, handler: Handler, about: About) -> Route {
        Route { method, path, need: Need::Known(why), handler, about }
    }

    /// A route that anyone may ask, for a reason.
    pub const fn open(method: Method, path: &'static str, why: &'static str, handler: Handler, about: About) -> Route {
        Route { method, path, need: Need::Nothing(why), handler, about }
    }

    /// Whether it is about one trail.
    pub fn of_trail(&self) -> bool {
        self.path.contains("{trail}")
    }

    /// The names in its path.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.trim_start_matches('*')))
    }
}
