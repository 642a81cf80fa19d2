//! A query as text that is parsed to the same query.

use std::fmt::{self, Display};

use super::{Node, Operator, Query};

impl Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::All => Ok(()),
            Node::And(nodes) => separated(f, nodes, " and "),
            Node::Or(nodes) => separated(f, nodes, " or "),
            Node::Not(node) => {
                f.write_str("not ")?;
                operand(f, node)
            }
            Node::Word(pattern) => pattern.fmt(f),
            Node::Has(field) => write!(f, "has({field})"),
            Node::Is {
                field,
                operator,
                value,
            } => write!(f, "{field} {operator} {value}"),
            Node::Contains { field, pattern } => write!(f, "{field} contains {pattern}"),
            Node::In { field, values } => {
                write!(f, "{field} in (")?;
                for (number, value) in values.iter().enumerate() {
                    let comma = if number > 0 { ", " } else { "" };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str(")")
            }
            Node::Age {
                field,
                operator,
                age,
            } => write!(f, "age({field}) {operator} {age}"),
        }
    }
}

fn separated(f: &mut fmt::Formatter<'_>, nodes: &[Node], word: &str) -> fmt::Result {
    for (number, node) in nodes.iter().enumerate() {
        if number > 0 {
            f.write_str(word)?;
        }
        operand(f, node)?;
    }
    Ok(())
}

fn operand(f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
    match node {
        Node::And(_) | Node::Or(_) => write!(f, "({node})"),
        _ => node.fmt(f),
    }
}

impl Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operator::Is => "=",
            Operator::IsNot => "!=",
            Operator::Less => "<",
            Operator::AtMost => "<=",
            Operator::Greater => ">",
            Operator::AtLeast => ">=",
        })
    }
}
