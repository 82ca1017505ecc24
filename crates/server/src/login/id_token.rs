//! What a provider says of who logged in: an id token, and nothing else, is believed, once all of it was checked.

use access::{GROUPS_BYTES_MAX, GROUPS_MAX, Person};
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, Client, ClientId, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdToken, IdTokenClaims, IdTokenFields, Nonce, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How far the provider's clock may be from ours, either way.
pub const LEEWAY: TimeDelta = TimeDelta::seconds(60);
/// How long ago an id token may have been made: it comes in answer to our own request.
const AGE_MAX: TimeDelta = TimeDelta::seconds(600);
/// Bytes of a group's name, and of a subject, which OpenID Connect limits to as many.
const GROUP_BYTES_MAX: usize = 256;
const SUBJECT_BYTES_MAX: usize = 255;

/// Signatures that are believed: of keys that only the provider has. What is signed with the client's secret could be
/// made by whoever knows that, and with `none` by anyone.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Claims that OpenID Connect does not name: groups are one of them.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct OtherClaims(Map<String, Value>);

impl AdditionalClaims for OtherClaims {}

/// An id token, not checked yet.
pub type Unchecked = IdToken<OtherClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

/// A client of a provider that has been discovered.
pub type ProviderClient = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why an id token is not believed. The words are the server's own: nothing of what it said stands in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// It was made by a key that the provider does not list.
    #[error("its key is not one of the provider's")]
    UnknownKey,
    /// The signature is missing, wrong, or of a kind that is not believed.
    #[error("its signature is not one that is believed")]
    Signature,
    /// It is of another provider.
    #[error("it is of another issuer")]
    Issuer,
    /// It is for somebody else, or for others too.
    #[error("it is for another client")]
    Audience,
    /// It is over, or of another time.
    #[error("it is not of this time; compare both machines' clocks")]
    Time,
    /// It was made for another login.
    #[error("it was made for another login")]
    Nonce,
    /// It has a form that is not read.
    #[error("it has a form that is not read")]
    Form,
    /// Its subject is empty or too long.
    #[error("its subject is empty or longer than {SUBJECT_BYTES_MAX} bytes")]
    Subject,
    /// There are too many groups.
    #[error(
        "it lists more than {GROUPS_MAX} groups, or {GROUPS_BYTES_MAX} bytes of them; have the provider list those alone that matter here"
    )]
    Groups,
}

impl From<ClaimsVerificationError> for IdTokenError {
    fn from(error: ClaimsVerificationError) -> Self {
        use ClaimsVerificationError as E;
        match error {
            E::SignatureVerification(SignatureVerificationError::NoMatchingKey) => IdTokenError::UnknownKey,
            E::SignatureVerification(_) => IdTokenError::Signature,
            E::InvalidIssuer(_) => IdTokenError::Issuer,
            E::InvalidAudience(_) => IdTokenError::Audience,
            E::Expired(_) => IdTokenError::Time,
            E::InvalidNonce(_) => IdTokenError::Nonce,
            E::InvalidSubject(_) => IdTokenError::Subject,
            _ => IdTokenError::Form,
        }
    }
}

/// What an id token is held against.
pub struct Expected<'a> {
    /// The provider, with its keys.
    pub provider: &'a CoreProviderMetadata,
    /// Who we are to it.
    pub client_id: &'a ClientId,
    /// What this login was begun with.
    pub nonce: &'a Nonce,
    /// Where groups stand.
    pub groups_claim: &'a str,
    /// The time, nanoseconds since 1970.
    pub now_ns: i64,
}

/// The person that an id token is of.
pub fn person(token: &Unchecked, expected: &Expected<'_>) -> Result<Person, IdTokenError> {
    let Expected { provider, client_id, nonce, groups_claim, now_ns } = *expected;
    let now = DateTime::from_timestamp_nanos(now_ns);
    // As of a public client, which never believes what is signed with a shared secret.
    let keys = provider.jwks().clone();
    let verifier = CoreIdTokenVerifier::new_public_client(client_id.clone(), provider.issuer().clone(), keys)
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || now - LEEWAY)
        .set_issue_time_verifier_fn(move |made| made_lately(made, now));
    let claims = token.claims(&verifier, nonce)?;
    // The library leaves that to us; several audiences it refuses.
    if claims.authorized_party().is_some_and(|party| party != client_id) {
        return Err(IdTokenError::Audience);
    }
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || subject.contains(char::is_control) {
        return Err(IdTokenError::Subject);
    }
    let groups = groups(claims.additional_claims().0.get(groups_claim))?;
    Ok(Person { subject: subject.to_owned(), name: name(claims).unwrap_or(subject).to_owned(), groups })
}

fn made_lately(made: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), String> {
    match () {
        () if made > now + LEEWAY => Err("it is of the future".to_owned()),
        () if made < now - AGE_MAX - LEEWAY => Err("it is old".to_owned()),
        () => Ok(()),
    }
}

/// What people call them, as far as the provider says it.
fn name(claims: &IdTokenClaims<OtherClaims, CoreGenderClaim>) -> Option<&str> {
    let name = claims.name().and_then(|names| names.get(None)).map(|name| name.as_str());
    let names = [name, claims.preferred_username().map(|name| name.as_str()), claims.email().map(|mail| mail.as_str())];
    names.into_iter().flatten().find(|name| !name.trim().is_empty())
}

/// A list of texts, or one. Anything else gives nothing, and so does a name that no rule could have.
fn groups(claim: Option<&Value>) -> Result<Vec<String>, IdTokenError> {
    let texts = match claim {
        Some(Value::Array(groups)) if groups.len() > GROUPS_MAX => return Err(IdTokenError::Groups),
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(group)) => vec![group.as_str()],
        _ => Vec::new(),
    };
    let texts: Vec<&str> = texts.into_iter().filter(|group| group.len() <= GROUP_BYTES_MAX).collect();
    if texts.iter().map(|group| group.len()).sum::<usize>() > GROUPS_BYTES_MAX {
        return Err(IdTokenError::Groups);
    }
    Ok(texts.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
