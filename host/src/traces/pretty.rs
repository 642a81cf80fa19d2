//! XML, broken or not, as indented lines.

use super::lex::{Kind, tokens};

/// Deeper levels are not indented further.
const DEPTH_MAX: usize = 20;

/// One line for each element with text, for each structure of a list, and for what else there is.
pub(super) fn pretty(text: &str) -> Vec<String> {
    let mut lines = Lines::default();
    for token in tokens(text.as_bytes()) {
        // Tokens end at ASCII characters only.
        let piece = text.get(token.range).unwrap_or_default().trim();
        let folds = token.name.ends_with(b"Struct");
        match token.kind {
            Kind::Open => {
                lines.begin(piece);
                lines.open.push(folds);
            }
            Kind::Close => {
                let folded = lines.open.pop().unwrap_or_default();
                if folded || lines.leaf || lines.is_folded() {
                    lines.join(piece);
                } else {
                    lines.line(piece);
                }
                lines.leaf = false;
            }
            Kind::Empty => {
                lines.begin(piece);
                lines.leaf = false;
            }
            Kind::Text | Kind::Mark if piece.is_empty() => {}
            // What belongs to the element's text.
            Kind::Text if lines.leaf => lines.join(piece),
            Kind::Mark if lines.leaf && piece.starts_with("<![") => lines.join(piece),
            Kind::Text | Kind::Mark => {
                lines.line(piece);
                lines.leaf = false;
            }
        }
    }
    lines.lines
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// The open elements: whether all of one is on one line.
    open: Vec<bool>,
    /// Nothing but text since an element was opened.
    leaf: bool,
}

impl Lines {
    fn is_folded(&self) -> bool {
        self.open.contains(&true)
    }

    fn begin(&mut self, piece: &str) {
        if self.is_folded() {
            self.join(piece);
        } else {
            self.line(piece);
        }
        self.leaf = true;
    }

    fn line(&mut self, piece: &str) {
        let depth = self.open.len().min(DEPTH_MAX);
        let mut line = "  ".repeat(depth);
        push(&mut line, piece);
        self.lines.push(line);
    }

    fn join(&mut self, piece: &str) {
        match self.lines.last_mut() {
            Some(line) => push(line, piece),
            None => self.line(piece),
        }
    }
}

/// Adds text to a line, whatever it is: line ends and controls are made visible.
pub(super) fn push(line: &mut String, piece: &str) {
    for c in piece.chars() {
        match c {
            '\n' => line.push('⏎'),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn lines() {
        let xml = "<?xml version=\"1.0\"?><e:Envelope a=\"b\">\n<e:Header/><e:Body><c:X><L><PStruct>\
             <Name>a</Name><Value t=\"s\">1\n2</Value></PStruct><PStruct><Name>b</Name><Value/></PStruct></L>\
             <Key></Key><Text><![CDATA[a\u{1}<b>]]></Text></c:X></e:Body></e:Envelope>junk</x>";
        expect![[r#"
            <?xml version="1.0"?>
            <e:Envelope a="b">
              <e:Header/>
              <e:Body>
                <c:X>
                  <L>
                    <PStruct><Name>a</Name><Value t="s">1⏎2</Value></PStruct>
                    <PStruct><Name>b</Name><Value/></PStruct>
                  </L>
                  <Key></Key>
                  <Text><![CDATA[a\u{1}
                    <b>]]></Text>
                  </c:X>
                </e:Body>
              </e:Envelope>
              junk
            </x>
        "#]]
        .assert_eq(&(pretty(xml).join("\n") + "\n"));
    }

    #[test]
    fn broken_messages_are_shown_too() {
        expect![[r#"
            </a>
            </b>
            x < y
            <c>
              <d>1
                <e
        "#]]
        .assert_eq(&(pretty("</a></b>x < y<c><d>1<e").join("\n") + "\n"));
    }
}
