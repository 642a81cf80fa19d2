//! What the schemas let pass and should not: the body and the header take any element, the
//! counts of arrays are not looked at, and a value needs no type.

use std::collections::BTreeSet;
use std::path::Path;

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const ENCODING: &str = "http://schemas.xmlsoap.org/soap/encoding/";
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
const SCHEMA: &str = "http://www.w3.org/2001/XMLSchema";

/// An element: namespace and local name, attributes the same way, and what is in it.
struct Element {
    name: (String, String),
    attributes: Vec<((String, String), String)>,
    children: Vec<Element>,
}

impl Element {
    fn parse(xml: &str) -> Element {
        let mut reader = NsReader::from_str(xml);
        let mut open = vec![Element {
            name: Default::default(),
            attributes: vec![],
            children: vec![],
        }];
        loop {
            let event = reader.read_event().unwrap();
            let empty = matches!(event, Event::Empty(_));
            match event {
                Event::Start(tag) | Event::Empty(tag) => {
                    let (namespace, name) = reader.resolver().resolve_element(tag.name());
                    let name = (namespace_of(namespace), name.into_inner().to_owned());
                    let attributes = tag.attributes().map(|attribute| {
                        let attribute = attribute.unwrap();
                        let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
                        let name = (namespace_of(namespace), name.into_inner().to_owned());
                        (name, attribute.value.to_string())
                    });
                    let attributes = attributes.collect();
                    open.push(Element {
                        name,
                        attributes,
                        children: vec![],
                    });
                    if empty {
                        end(&mut open);
                    }
                }
                Event::End(_) => end(&mut open),
                Event::Eof => break,
                _ => {}
            }
        }
        open.pop().unwrap().children.pop().expect("an element")
    }

    fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == (namespace.to_owned(), name.to_owned())
    }

    fn attribute(&self, namespace: &str, name: &str) -> Option<&str> {
        let wanted = (namespace.to_owned(), name.to_owned());
        self.attributes
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.as_str())
    }

    fn all<'e>(&'e self, each: &mut impl FnMut(&'e Element)) {
        each(self);
        for child in &self.children {
            child.all(each);
        }
    }
}

fn end(open: &mut Vec<Element>) {
    let ended = open.pop().unwrap();
    open.last_mut().unwrap().children.push(ended);
}

fn namespace_of(resolved: ResolveResult<'_>) -> String {
    match resolved {
        ResolveResult::Bound(namespace) => namespace.into_inner().to_owned(),
        _ => String::new(),
    }
}

/// The names that a schema declares on its first level, or one that it includes: methods,
/// header elements and `Fault`.
pub fn global_elements(schema: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for child in &Element::parse(&std::fs::read_to_string(schema).unwrap()).children {
        if child.is(SCHEMA, "element") {
            names.insert(child.attribute("", "name").unwrap().to_owned());
        } else if child.is(SCHEMA, "include") {
            let included = child.attribute("", "schemaLocation").unwrap();
            names.append(&mut global_elements(&schema.with_file_name(included)));
        }
    }
    assert!(
        names.contains("GetParameterValues"),
        "{}: {names:?}",
        schema.display()
    );
    names
}

/// What is wrong with a message beside its validity.
pub fn holes(xml: &str, namespace: &str, known: &BTreeSet<String>) -> Vec<String> {
    let envelope = Element::parse(xml);
    let mut holes = Vec::new();
    assert!(envelope.is(SOAP, "Envelope"));
    for part in &envelope.children {
        for child in &part.children {
            let fault = part.is(SOAP, "Body") && child.is(SOAP, "Fault");
            let global = child.name.0 == namespace && known.contains(&child.name.1);
            if !fault && !global {
                holes.push(format!("{:?} is nothing that the schema knows", child.name));
            }
        }
    }
    envelope.all(&mut |element| {
        if let Some(array) = element.attribute(ENCODING, "arrayType") {
            let count = array
                .split_once('[')
                .and_then(|(_, count)| count.strip_suffix(']'));
            if count != Some(element.children.len().to_string().as_str()) {
                holes.push(format!("{array} of {} members", element.children.len()));
            }
        }
        if element.is("", "ParameterValueStruct") {
            for value in element
                .children
                .iter()
                .filter(|child| child.is("", "Value"))
            {
                if value.attribute(INSTANCE, "type").is_none() {
                    holes.push("a Value without xsi:type".to_owned());
                }
            }
        }
    });
    holes
}
