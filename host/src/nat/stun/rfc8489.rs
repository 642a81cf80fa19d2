//! Binding requests of today's STUN clients (RFC 8489), which know nothing of Annex G.

use std::net::SocketAddr;

use stun_rs::attributes::stun::{Fingerprint, MappedAddress, Software, XorMappedAddress};
use stun_rs::methods::BINDING;
use stun_rs::{
    DecoderContextBuilder, MessageClass, MessageDecoderBuilder, MessageEncoderBuilder,
    StunMessageBuilder,
};

/// Room for the largest answer.
const ANSWER_BYTES_MAX: usize = 128;

/// The answer to a binding request with the magic cookie. `None`: it is none, or its FINGERPRINT
/// is wrong.
pub(super) fn answer(request: &[u8], mapped: SocketAddr) -> Option<Vec<u8>> {
    let context = DecoderContextBuilder::default().with_validation().build();
    let decoder = MessageDecoderBuilder::default()
        .with_context(context)
        .build();
    let (message, _) = decoder.decode(request).ok()?;
    if message.method() != BINDING || message.class() != MessageClass::Request {
        return None;
    }
    let mut answer = StunMessageBuilder::new(BINDING, MessageClass::SuccessResponse)
        .with_transaction_id(*message.transaction_id())
        // There are devices that send the cookie and read only this one.
        .with_attribute(MappedAddress::from(mapped))
        .with_attribute(XorMappedAddress::from(mapped));
    if let Ok(software) = Software::new("patchbay") {
        answer = answer.with_attribute(software);
    }
    if message.get::<Fingerprint>().is_some() {
        answer = answer.with_attribute(Fingerprint::default());
    }
    let mut bytes = vec![0; ANSWER_BYTES_MAX];
    let encoder = MessageEncoderBuilder::default().build();
    let length = encoder.encode(&mut bytes, &answer.build()).ok()?;
    bytes.truncate(length);
    Some(bytes)
}
