//! Bytes that the host cannot read.

use profile_format::Repair;

pub(crate) fn repair(rules: &Repair, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut repaired = body.to_vec();
    for (wrong, right) in &rules.replace {
        repaired = replaced(&repaired, wrong.as_bytes(), right.as_bytes());
    }
    if rules.angle_brackets {
        repaired = angle_brackets(&repaired);
    }
    if repaired == body {
        return Err("this message shows none of what the profile repairs".into());
    }
    Ok(repaired)
}

fn replaced(body: &[u8], wrong: &[u8], right: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(wrong) {
            Some(after) if !wrong.is_empty() => {
                out.extend_from_slice(right);
                rest = after;
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// A `<` begins a tag if a name, `/`, `!` or `?` comes after it.
fn angle_brackets(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for (at, &byte) in body.iter().enumerate() {
        let begins_tag = body.get(at + 1).is_some_and(|next| {
            next.is_ascii_alphabetic() || b"_/!?".contains(next) || *next >= 0x80
        });
        if byte == b'<' && !begins_tag {
            out.extend_from_slice(b"&lt;");
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::written;

    #[test]
    fn what_can_be_told_from_tags() {
        let rules =
            written("[repair]\nangle_brackets = true\nreplace = { '</ Value>' = '</Value>' }")
                .repair;
        let repaired = repair(&rules, b"<Value>a < b <3</ Value><X/>").unwrap();
        assert_eq!(
            String::from_utf8(repaired).unwrap(),
            "<Value>a &lt; b &lt;3</Value><X/>"
        );
        assert!(repair(&rules, b"<Value>x</Value>").is_err());
    }
}
