//! Addresses: `node@domain/resource` (RFC 7622).

/// An address, in parts. Node and domain are compared without regard to case.
#[derive(Debug, Clone, Copy)]
pub struct Jid<'j> {
    /// May be empty: a server.
    pub node: &'j str,
    /// Never empty.
    pub domain: &'j str,
    /// May be empty: a bare JID.
    pub resource: &'j str,
}

impl<'j> Jid<'j> {
    /// `None`: no domain.
    pub fn parse(text: &'j str) -> Option<Jid<'j>> {
        let (bare, resource) = text.split_once('/').unwrap_or((text, ""));
        let (node, domain) = bare.split_once('@').unwrap_or(("", bare));
        (!domain.is_empty()).then_some(Jid {
            node,
            domain,
            resource,
        })
    }

    /// Whether both are of the same node and domain.
    pub fn is_same_bare(&self, other: &Jid<'_>) -> bool {
        self.node.to_lowercase() == other.node.to_lowercase()
            && self.domain.to_lowercase() == other.domain.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let parts = |text: &str| {
            Jid::parse(text).map(|jid| format!("{}|{}|{}", jid.node, jid.domain, jid.resource))
        };
        assert_eq!(parts("a@b/c@d/e").unwrap(), "a|b|c@d/e");
        assert_eq!(parts("b").unwrap(), "|b|");
        assert_eq!(parts("b/c").unwrap(), "|b|c");
        assert_eq!(parts(""), None);
        assert_eq!(parts("a@/c"), None);
        let same = |a: &str, b: &str| Jid::parse(a).unwrap().is_same_bare(&Jid::parse(b).unwrap());
        assert!(same("A@b.Example/x", "a@B.example"));
        assert!(!same("a@b", "b@b"));
    }
}
