//! The file inside a body of multipart/form-data (RFC 7578), as devices send it that upload
//! the way a browser does. Piece by piece: only the head of a part and what may be the
//! beginning of a boundary are held.

/// Bytes of a part's head, or of what stands before the first part.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Characters of a boundary (RFC 2046 §5.1.1).
const BOUNDARY_CHARS_MAX: usize = 70;

/// The boundary that a Content-Type names, if it is multipart/form-data.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_boundary = name.trim().eq_ignore_ascii_case("boundary");
        is_boundary.then(|| value.trim().trim_matches('"'))
    })?;
    (1..=BOUNDARY_CHARS_MAX)
        .contains(&boundary.len())
        .then_some(boundary)
}

/// Unwraps one file.
#[derive(Debug)]
pub(super) struct Unwrap {
    /// Line end, two hyphens, the boundary.
    delimiter: Vec<u8>,
    held: Vec<u8>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first boundary, or in a part that is no file.
    Outside,
    /// Behind a boundary, in the head of a part.
    Head,
    /// In the file.
    Inside,
    /// Behind it.
    Behind,
}

impl Unwrap {
    /// With the boundary of the Content-Type.
    pub(super) fn new(boundary: &str) -> Unwrap {
        Unwrap {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            // The first boundary has no line end before it.
            held: b"\r\n".to_vec(),
            place: Place::Outside,
        }
    }

    /// Takes a piece of the body and gives what of it is the file's.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<u8>, String> {
        self.held.extend_from_slice(piece);
        let mut file = Vec::new();
        loop {
            match self.place {
                Place::Behind => {
                    self.held.clear();
                    return Ok(file);
                }
                Place::Outside | Place::Inside => {
                    let inside = self.place == Place::Inside;
                    let (until, next) = match find(&self.held, &self.delimiter) {
                        Some(at) if inside => (at, Some(Place::Behind)),
                        Some(at) => (at, Some(Place::Head)),
                        // The end of what is held may be the beginning of a boundary.
                        None => (self.held.len().saturating_sub(self.delimiter.len()), None),
                    };
                    let before: Vec<u8> = self.held.drain(..until).collect();
                    if inside {
                        file.extend(before);
                    }
                    match next {
                        Some(next) => {
                            self.held.drain(..self.delimiter.len());
                            self.place = next;
                        }
                        None => return Ok(file),
                    }
                }
                Place::Head => {
                    let Some(end) = find(&self.held, b"\r\n\r\n") else {
                        if self.held.len() > HEAD_BYTES_MAX {
                            return Err(format!(
                                "expected the head of a part within {HEAD_BYTES_MAX} bytes"
                            ));
                        }
                        return Ok(file);
                    };
                    let head: Vec<u8> = self.held.drain(..end + 4).collect();
                    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                    let is_file = head.contains("filename=") || head.contains("filename*=");
                    self.place = if is_file {
                        Place::Inside
                    } else {
                        Place::Outside
                    };
                }
            }
        }
    }

    /// The body has ended.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.place {
            Place::Behind => Ok(()),
            Place::Inside => {
                Err("expected the boundary of multipart/form-data behind the file".into())
            }
            _ => Err("expected a part with a file name in multipart/form-data, got none".into()),
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORM: &str = "preamble\r\n--XyZ\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
        --XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\none\r\n--Xy\r\ntwo\r\n--XyZ--\r\nepilogue";

    fn unwrapped(body: &[u8], sizes: impl IntoIterator<Item = usize>) -> Result<Vec<u8>, String> {
        let mut unwrap = Unwrap::new("XyZ");
        let (mut file, mut rest) = (Vec::new(), body);
        for size in sizes {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            file.extend(unwrap.take(piece)?);
            rest = after;
        }
        file.extend(unwrap.take(rest)?);
        unwrap.finish().map(|()| file)
    }

    #[test]
    fn boundaries() {
        for (text, expected) in [
            ("multipart/form-data; boundary=XyZ", Some("XyZ")),
            (
                "Multipart/Form-Data; charset=x; Boundary=\"a b\"",
                Some("a b"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("text/plain; boundary=XyZ", None),
        ] {
            assert_eq!(boundary(text), expected, "{text}");
        }
    }

    #[test]
    fn the_file_is_the_part_with_a_file_name() {
        assert_eq!(
            unwrapped(FORM.as_bytes(), []).unwrap(),
            b"one\r\n--Xy\r\ntwo"
        );
        let empty = "--XyZ\r\nContent-Disposition: form-data; filename=x\r\n\r\n\r\n--XyZ--";
        assert_eq!(unwrapped(empty.as_bytes(), []).unwrap(), b"");
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let broken = FORM.split("--XyZ--").next().unwrap();
        let error = unwrapped(broken.as_bytes(), []).unwrap_err();
        assert!(error.contains("behind the file"), "{error}");
        let error = unwrapped(b"nothing of the kind", []).unwrap_err();
        assert!(error.contains("got none"), "{error}");
        let endless = [b"--XyZ\r\n".to_vec(), vec![b'x'; HEAD_BYTES_MAX + 1]].concat();
        let error = unwrapped(&endless, []).unwrap_err();
        assert!(error.contains("head of a part"), "{error}");
    }

    proptest! {
        #[test]
        fn however_it_is_cut(sizes in proptest::collection::vec(0_usize..40, 0..40)) {
            prop_assert_eq!(unwrapped(FORM.as_bytes(), sizes).unwrap(), b"one\r\n--Xy\r\ntwo");
        }

        #[test]
        fn any_file_comes_out_as_it_was(file in proptest::collection::vec(any::<u8>(), 0..300)) {
            let head = b"--XyZ\r\nContent-Disposition: form-data; filename=x\r\n\r\n";
            let body = [&head[..], &file, b"\r\n--XyZ--\r\n"].concat();
            prop_assume!(find(&file, b"\r\n--XyZ").is_none());
            prop_assert_eq!(unwrapped(&body, [7, 60, 3]).unwrap(), file);
        }
    }
}
