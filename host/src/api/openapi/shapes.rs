//! Schemas as programs that make clients of them like them: what the derives write is right, but
//! nested where a name would do, and a choice inside a combination.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{AllOf, ArrayItems, OneOf};
use utoipa::openapi::{Components, Object, Ref, RefOr, Schema, Type};

/// What the names of pages begin with, before that of their items.
const PAGE_OF: &str = "Page_";

/// Reshapes all of them; what they allow stays the same.
pub(super) fn reshape(components: &mut Components) {
    refer_to_items(components);
    let known = components.schemas.clone();
    for (name, schema) in &mut components.schemas {
        if let RefOr::T(Schema::AllOf(all)) = schema
            && let Some(objects) = alternatives(all, &known)
        {
            let mut one = OneOf::new();
            one.description = all.description.clone();
            one.items = objects.into_iter().map(of_object).collect();
            *schema = RefOr::T(Schema::OneOf(one));
        }
        if let RefOr::T(Schema::AllOf(all)) = schema
            && let Some(object) = joined(all, &known)
        {
            *schema = of_object(object);
        }
        if let RefOr::T(Schema::OneOf(one)) = schema {
            one.items = std::mem::take(&mut one.items)
                .into_iter()
                .flat_map(|item| distributed(item, &known))
                .map(|item| titled(name, item))
                .collect();
        }
        without_sign(schema);
    }
}

/// The formats of numbers are of signed ones; those without a sign go further.
fn without_sign(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            if object.minimum.is_some() && object.maximum.is_none() {
                object.format = None;
            }
            object.properties.values_mut().for_each(without_sign);
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                without_sign(items);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(without_sign),
        Schema::AllOf(all) => all.items.iter_mut().for_each(without_sign),
        _ => {}
    }
}

/// A page's items have a name of their own; by it a client knows them in every list.
fn refer_to_items(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for name in &names {
        let page = components.schemas.get_mut(&format!("{PAGE_OF}{name}"));
        if let Some(RefOr::T(Schema::Object(page))) = page
            && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
        {
            items.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(name).into()));
        }
    }
}

type Known = BTreeMap<String, RefOr<Schema>>;

fn of_object(object: Object) -> RefOr<Schema> {
    RefOr::T(Schema::Object(object))
}

/// A combination with a choice in it becomes a choice of combinations.
fn distributed(item: RefOr<Schema>, known: &Known) -> Vec<RefOr<Schema>> {
    let objects = match &item {
        RefOr::T(Schema::AllOf(all)) => alternatives(all, known),
        _ => None,
    };
    match objects {
        Some(objects) => objects.into_iter().map(of_object).collect(),
        None => vec![item],
    }
}

/// The objects that a combination with one choice in it allows; `None`: it is none such.
fn alternatives(all: &AllOf, known: &Known) -> Option<Vec<Object>> {
    let mut choice = None;
    let mut common = Object::new();
    for item in &all.items {
        match resolved(item, known)? {
            Schema::Object(object) => join(&mut common, object),
            Schema::OneOf(one) if choice.is_none() => choice = Some(one),
            _ => return None,
        }
    }
    let items = choice?.items.iter();
    items
        .map(|item| match resolved(item, known)? {
            Schema::Object(object) => {
                let mut joined = object.clone();
                join(&mut joined, &common);
                Some(joined)
            }
            _ => None,
        })
        .collect()
}

/// A combination of objects as one: a part that allows nothing else would refuse the others.
fn joined(all: &AllOf, known: &Known) -> Option<Object> {
    let mut joined = Object::new();
    joined.schema_type = Type::Object.into();
    joined.description = all.description.clone();
    for item in &all.items {
        match resolved(item, known)? {
            Schema::Object(object) => join(&mut joined, object),
            _ => return None,
        }
    }
    Some(joined)
}

fn resolved<'k>(item: &'k RefOr<Schema>, known: &'k Known) -> Option<&'k Schema> {
    match item {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(to) => match known.get(to.ref_location.rsplit('/').next()?)? {
            RefOr::T(schema) => Some(schema),
            RefOr::Ref(_) => None,
        },
    }
}

fn join(object: &mut Object, other: &Object) {
    for (name, property) in &other.properties {
        object.properties.insert(name.clone(), property.clone());
    }
    object.required.extend(other.required.iter().cloned());
    object.required.sort();
    object.required.dedup();
}

/// An alternative is called by the words that tell it from the others.
fn titled(name: &str, mut item: RefOr<Schema>) -> RefOr<Schema> {
    if let RefOr::T(Schema::Object(object)) = &mut item
        && object.title.is_none()
    {
        let words = object.properties.values().filter_map(only_value);
        let words: Vec<String> = words.flat_map(|value| capitalized(&value)).collect();
        if !words.is_empty() {
            object.title = Some(format!("{name}{}", words.concat()));
        }
    }
    item
}

/// The value of a property that can have but one.
fn only_value(property: &RefOr<Schema>) -> Option<String> {
    let RefOr::T(Schema::Object(property)) = property else {
        return None;
    };
    match property.enum_values.as_deref()? {
        [value] => value.as_str().map(str::to_owned),
        _ => None,
    }
}

/// `factory-reset` → `Factory`, `Reset`.
fn capitalized(value: &str) -> Vec<String> {
    let words = value.split('-');
    words
        .map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            format!("{}{rest}", first.to_uppercase())
        })
        .collect()
}
