use std::collections::BTreeMap;

use axum::Router;
use serde_json::Value;
use utoipa::{
    OpenApi as _,
    openapi::{
        Components, InfoBuilder, LicenseBuilder, OpenApi, RefOr, Schema,
        path::{Operation, PathItem},
        schema::{SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{operations::OperationsDocument, problems};

/// What a service says of itself.
#[derive(Clone, Copy, Debug)]
pub struct ServiceInfo {
    /// Its name in logs, metrics and settings, e.g. `psi-field`.
    pub name: &'static str,
    /// Its title in the documents.
    pub title: &'static str,
    /// What it is for, in Markdown.
    pub description: &'static str,
}

/// Routes whose document has these tags: name and description in Markdown, in the order in which a reader
/// should meet them, what people do first coming first.
#[must_use]
pub fn with_tags<S>(mut routes: OpenApiRouter<S>, tags: &[(&str, &str)]) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let tag = |(name, description): &(&str, &str)| {
        TagBuilder::new().name(*name).description(Some(*description)).build()
    };
    routes.get_openapi_mut().tags = Some(tags.iter().map(tag).collect());
    routes
}

/// Splits a service's routes into the router and its whole OpenAPI document: with the licence, the
/// keys, the operational routes, [`api::Problem`] as the error answer of every operation, and what the
/// errors mean that every service has. `/openapi.json` answers exactly this document.
///
/// The tags come in the order of the service's own ([`with_tags`]), then those that it does not list, then
/// `operations`.
pub fn openapi(info: &ServiceInfo, routes: OpenApiRouter) -> (Router, OpenApi) {
    let (router, mut document) = routes.split_for_parts();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        problems::add_to(operation);
    }
    list_all_tags(&mut document);
    document.merge(OperationsDocument::openapi());
    make_ids_unique(&mut document);
    document.info = InfoBuilder::new()
        .title(info.title)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(format!("{}\n\n{CONVENTIONS}", info.description)))
        .license(Some(LicenseBuilder::new().name(LICENSE).identifier(Some(LICENSE)).build()))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    problems::add_components(components);
    components.add_security_scheme(
        KEY_SCHEME,
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "One of the service's API keys. A service without keys takes every caller.",
                ))
                .build(),
        ),
    );
    // Either a key or nothing: which of them holds is the operator's choice.
    document.security = Some(vec![
        SecurityRequirement::new::<_, [&str; 0], &str>(KEY_SCHEME, []),
        SecurityRequirement::default(),
    ]);
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        problems::add_ranges_to(operation);
    }
    (router, with_registered_formats(document))
}

/// Lists the values that a text property of a schema takes, each with what it means. The wire types know no domain, so
/// the service that does fills its lists in. A schema that the document does not have is passed over.
pub fn list_values(document: &mut OpenApi, schema: &str, property: &str, values: &[(&str, &str)]) {
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    let Some(RefOr::T(Schema::Object(object))) = schemas.and_then(|all| all.get_mut(schema)) else { return };
    if let Some(RefOr::T(Schema::Object(text))) = object.properties.get_mut(property) {
        let meanings = values.iter().map(|(name, meaning)| format!("\n- `{name}`: {meaning}"));
        let meanings: String = meanings.collect();
        text.description = Some(format!("{}\n{meanings}", text.description.as_deref().unwrap_or_default()));
        let nothing = matches!(&text.schema_type, SchemaType::Array(types) if types.contains(&Type::Null));
        let names = values.iter().map(|(name, _)| Value::from(*name));
        text.enum_values = Some(names.chain(nothing.then_some(Value::Null)).collect());
    }
}

/// Puts a schema (JSON Schema, without its description) in the place of one that the wire types leave open, whose
/// description it keeps.
///
/// # Panics
/// When it is no schema: a mistake of the caller's code.
#[allow(clippy::expect_used)]
pub fn set_schema(document: &mut OpenApi, name: &str, mut schema: Value) {
    let Some(components) = document.components.as_mut() else { return };
    let before = components.schemas.get(name).and_then(|schema| serde_json::to_value(schema).ok());
    if let Some(description) = before.and_then(|schema| schema.get("description").cloned()) {
        schema["description"] = description;
    }
    let schema = serde_json::from_value(schema).expect("a JSON Schema");
    components.schemas.insert(name.to_owned(), schema);
}

const LICENSE: &str = env!("CARGO_PKG_LICENSE");
/// What holds for every service, told at the top of its documents.
const CONVENTIONS: &str = "\
When the service has API keys, send one as `Authorization: Bearer <key>` (*Authorize* does so here). \
Every error is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem with a stable `code` and a `detail` \
that says what to do; with `Retry-After` the same request may succeed later. Every answer has an `X-Request-Id` \
(yours, if you send one), and a W3C `traceparent` is continued; the log has both.";
const KEY_SCHEME: &str = "api_key";

/// utoipa writes `u-int32` for what the OpenAPI format registry calls `uint32`; and few tools know what that
/// format means, so its maximum is told too.
fn with_registered_formats(document: OpenApi) -> OpenApi {
    fn rename(value: &mut Value) {
        match value {
            Value::Object(members) => {
                let format = members.get("format").and_then(Value::as_str);
                if let Some(name) = format.and_then(|name| name.strip_prefix("u-")).map(str::to_owned) {
                    if name == "int32" && !members.contains_key("maximum") {
                        members.insert("maximum".to_owned(), u32::MAX.into());
                    }
                    members.insert("format".to_owned(), format!("u{name}").into());
                }
                members.values_mut().for_each(rename);
            }
            Value::Array(items) => items.iter_mut().for_each(rename),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(&document) else { return document };
    rename(&mut value);
    serde_json::from_value(value).unwrap_or(document)
}

/// A tag that no list has would come after `operations`.
fn list_all_tags(document: &mut OpenApi) {
    let used = document.paths.paths.values_mut().flat_map(operations);
    let used: Vec<String> = used.filter_map(|operation| operation.tags.clone()).flatten().collect();
    let tags = document.tags.get_or_insert_default();
    for name in used {
        if tags.iter().all(|tag| tag.name != name) {
            tags.push(TagBuilder::new().name(name).build());
        }
    }
}

/// An operation's id is its handler's name, and several resources have a `list`: those become `list_runs`
/// and `list_agents`, after their tags. Ids must be unique (OpenAPI 3.1, section 4.8.10).
fn make_ids_unique(document: &mut OpenApi) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for id in document.paths.paths.values_mut().flat_map(operations).filter_map(|o| o.operation_id.clone()) {
        *count.entry(id).or_default() += 1;
    }
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let tag = operation.tags.iter().flatten().next().map(|tag| tag.replace(' ', "_"));
        if let (Some(id), Some(tag)) = (&mut operation.operation_id, tag)
            && count.get(id).is_some_and(|&times| times > 1)
        {
            *id = format!("{id}_{tag}");
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.options,
        &mut item.head,
        &mut item.patch,
        &mut item.trace,
    ]
    .into_iter()
    .flatten()
}
