//! A small OpenID Connect provider on loopback: it believes whoever comes, signs what it is told to,
//! and keeps to the protocol where the client has to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::ring::sign::any_supported_type;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

pub const CLIENT: &str = "patchbay";
pub const SECRET: &str = "of the provider";

const RSA_KEY: &[u8] = include_bytes!("../../../fixtures/oidc-provider.pem");
/// The modulus of that key; its exponent is 65537.
const RSA_N: &str = "quTeg0l5HD48Ql71VTddixFAKSvw66aHLwMSCKC-o5YZfDFU4iY0QPB2olEOGOLWIU7rz31cBHJbGgRut4c9DLnVYjXkF5MJTrF33KqZc0s4zdiWw5FJE0KLTIaLeuPv6KRfQtKuJqFPqZS7TDlw8t8w0449R4DLtgN7gRXUvSN4f6kxBnkKIh-e2lTuPE8jImYqm-A1ZDv2L86zdMzbQsIPQQf3MDaPLG5ugbWFQBnjngnHxc9Sp_80lf1Bk-6oQGLwsHFzEhaf85k06xnd2FnfrraYvaMG7cZgDDkuQiseF1kNKWfW7Tqq-q-QPA0Ysm9iChjHHCZuUiBDSyQKUQ";

/// How the next token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    Rs256,
    Es256,
    /// With the client's secret.
    Hs256,
    None,
    /// As RS256, then changed.
    Tampered,
}

/// What the provider does next.
#[derive(Clone)]
pub struct Plan {
    pub signed: Signed,
    /// Of the key, as the token says.
    pub kid: Option<String>,
    /// Laid over the claims of the token.
    pub claims: Value,
    /// The keys have other names from the next look on.
    pub generation: u32,
}

pub struct Provider {
    pub address: SocketAddr,
    pub plan: Arc<Mutex<Plan>>,
}

#[derive(Clone)]
struct Shared {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    /// What was asked for with each code.
    codes: Arc<Mutex<HashMap<String, HashMap<String, String>>>>,
    ec: Arc<KeyPair>,
}

impl Provider {
    pub async fn start() -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Mutex::new(Plan {
            signed: Signed::Rs256,
            kid: None,
            claims: json!({}),
            generation: 1,
        }));
        let shared = Shared {
            address,
            plan: Arc::clone(&plan),
            codes: Arc::default(),
            ec: Arc::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Provider { address, plan }
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn plan(&self, change: impl FnOnce(&mut Plan)) {
        let mut plan = self.plan.lock().unwrap();
        *plan = Plan {
            signed: Signed::Rs256,
            kid: None,
            claims: json!({ "groups": ["acs"] }),
            generation: plan.generation,
        };
        change(&mut plan);
    }
}

async fn metadata(State(shared): State<Shared>) -> Json<Value> {
    let issuer = format!("http://{}", shared.address);
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // A provider that offers more than is good.
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
    }))
}

async fn keys(State(shared): State<Shared>) -> Json<Value> {
    let generation = shared.plan.lock().unwrap().generation;
    let point = shared.ec.public_key_raw();
    let (x, y) = point[1..].split_at(32);
    Json(json!({ "keys": [
        { "kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("rsa-{generation}"), "n": RSA_N, "e": "AQAB" },
        {
            "kty": "EC", "use": "sig", "alg": "ES256", "kid": format!("ec-{generation}"), "crv": "P-256",
            "x": base64url(x), "y": base64url(y),
        },
    ] }))
}

/// Whoever comes is Anna, and is sent back at once.
async fn authorize(
    State(shared): State<Shared>,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], CLIENT);
    assert_eq!(asked["code_challenge_method"], "S256");
    let scopes: Vec<&str> = asked["scope"].split(' ').collect();
    assert!(
        scopes.contains(&"openid") && scopes.contains(&"email"),
        "{scopes:?}"
    );
    let code = format!("{:032x}", rand::random::<u128>());
    let to = format!(
        "{}?code={code}&state={}",
        asked["redirect_uri"], asked["state"]
    );
    shared.codes.lock().unwrap().insert(code, asked);
    (StatusCode::FOUND, [("location", to)]).into_response()
}

async fn token(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let refused = |error: &str| {
        let body = Json(json!({ "error": error }));
        (StatusCode::BAD_REQUEST, body).into_response()
    };
    let uri: Uri = format!("/?{body}").parse().unwrap();
    let Query(form) = Query::<HashMap<String, String>>::try_from_uri(&uri).unwrap();
    // RFC 6749 §2.3.1: both are percent-encoded first.
    let client = BASE64_STANDARD.encode(format!("{CLIENT}:{}", SECRET.replace(' ', "+")));
    if headers["authorization"] != format!("Basic {client}") {
        return refused("invalid_client");
    }
    // A code is good once.
    let asked = shared.codes.lock().unwrap().remove(&form["code"]);
    let Some(asked) = asked else {
        return refused("invalid_grant");
    };
    let challenge = base64url(&Sha256::digest(&form["code_verifier"]));
    if asked["code_challenge"] != challenge || asked["redirect_uri"] != form["redirect_uri"] {
        return refused("invalid_grant");
    }
    let plan = shared.plan.lock().unwrap().clone();
    let token = signed(&shared, &plan, &asked["nonce"]);
    Json(json!({
        "access_token": "of no use", "token_type": "Bearer", "expires_in": 60, "id_token": token,
    }))
    .into_response()
}

fn signed(shared: &Shared, plan: &Plan, nonce: &str) -> String {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": format!("http://{}", shared.address), "aud": CLIENT, "sub": "anna-1", "nonce": nonce,
        "iat": now, "exp": now + 300, "email": "anna@example.net", "email_verified": true,
    });
    for (name, value) in plan.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let (alg, key) = match plan.signed {
        Signed::Rs256 | Signed::Tampered => ("RS256", "rsa"),
        Signed::Es256 => ("ES256", "ec"),
        Signed::Hs256 => ("HS256", "rsa"),
        Signed::None => ("none", "rsa"),
    };
    let kid = plan
        .kid
        .clone()
        .unwrap_or(format!("{key}-{}", plan.generation));
    let header = json!({ "alg": alg, "typ": "JWT", "kid": kid });
    let text = |json: &Value| base64url(json.to_string().as_bytes());
    let input = format!("{}.{}", text(&header), text(&claims));
    let signature = match plan.signed {
        Signed::Rs256 => rsa(input.as_bytes()),
        Signed::Tampered => {
            let mut signature = rsa(input.as_bytes());
            signature[7] ^= 1;
            signature
        }
        Signed::Es256 => ecdsa(&shared.ec, input.as_bytes()),
        Signed::Hs256 => hmac(SECRET.as_bytes(), input.as_bytes()),
        Signed::None => Vec::new(),
    };
    format!("{input}.{}", base64url(&signature))
}

fn rsa(input: &[u8]) -> Vec<u8> {
    let key = PrivateKeyDer::from_pem_slice(RSA_KEY).unwrap();
    sign(&key, SignatureScheme::RSA_PKCS1_SHA256, input)
}

/// Two numbers of 32 bytes, as JWS has them (RFC 7518 §3.4).
fn ecdsa(key: &KeyPair, input: &[u8]) -> Vec<u8> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let der = sign(&key, SignatureScheme::ECDSA_NISTP256_SHA256, input);
    // SEQUENCE { INTEGER r, INTEGER s }, all shorter than 128 bytes.
    let mut rest = &der[2..];
    let mut raw = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        raw.extend(std::iter::repeat_n(0, 32 - digits.len()));
        raw.extend_from_slice(digits);
        rest = &rest[2 + length..];
    }
    raw
}

fn sign(key: &PrivateKeyDer<'_>, scheme: SignatureScheme, input: &[u8]) -> Vec<u8> {
    let key = any_supported_type(key).unwrap();
    key.choose_scheme(&[scheme]).unwrap().sign(input).unwrap()
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], input: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(input);
    let outer = Sha256::new().chain_update(pad(0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
