mod wire;

use axum::Router;
use serde_json::{Value, json};
use utoipa::{
    OpenApi as _,
    openapi::{
        Components, ContactBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Schema, Server,
        ServerBuilder, ServerVariableBuilder,
        path::{Operation, PathItem},
        schema::{ObjectBuilder, OneOfBuilder, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
        tag::TagBuilder,
    },
};
use utoipa_axum::router::OpenApiRouter;

use crate::{operations::OperationsDocument, problems, scopes};

/// What a service says of itself.
#[derive(Clone, Copy, Debug)]
pub struct ServiceInfo {
    /// Its name in logs, metrics and settings, e.g. `psi-field`.
    pub name: &'static str,
    /// The port that it listens on when nobody says otherwise.
    pub port: u16,
    /// Its title in the documents, in ASCII: generators name their clients after it.
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
/// servers, the keys, the operational routes, [`api::Problem`] as the error answer of every operation, and what the
/// errors mean that every service has. `/openapi.json` answers exactly this document, which describes the wire and not
/// the types behind it ([`wire`]).
///
/// An operation's id is its handler's name in camel case: `create_run` becomes `createRun`. The tags come in the order of
/// the service's own ([`with_tags`]), then those that it does not list, then `operations`.
///
/// # Panics
/// Never: a document is made of texts, numbers and maps whose keys are texts, which always have JSON.
#[allow(clippy::expect_used, reason = "see Panics")]
pub fn openapi(info: &ServiceInfo, routes: OpenApiRouter) -> (Router, Value) {
    let (router, mut document) = routes.split_for_parts();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        problems::add_to(operation);
    }
    list_all_tags(&mut document);
    document.merge(OperationsDocument::openapi());
    document.info = InfoBuilder::new()
        .title(info.title)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(format!("{}\n\n{CONVENTIONS}", info.description)))
        .contact(Some(ContactBuilder::new().name(Some("The maintainers of AI Mesh")).build()))
        .license(Some(LicenseBuilder::new().name(LICENSE).identifier(Some(LICENSE)).build()))
        .build();
    document.servers = Some(servers(info));
    let components = document.components.get_or_insert_with(Components::new);
    problems::add_components(components);
    components.add_security_scheme(
        KEY_SCHEME,
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "One of the service's API keys. A service without keys takes every caller. A key has scopes, and \
                     each operation lists in `x-scopes` those of which one is needed: `read` to look at everything, `write` to \
                     work (runs, decisions, outcomes, windows, records, evaluations), `operate` to steer what others \
                     work on (cancel and delete, promote, roll back and stop, exclude, intervene by hand), `metrics` \
                     for `/metrics` alone. No scope contains another one. Keys without a list of scopes have all.",
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
    let mut document = serde_json::to_value(&document).expect("a document has JSON");
    scopes::describe(&mut document);
    wire::describe(&mut document);
    (router, document)
}

/// Lists the values that a text property of a schema takes, each with what it means, under a name of their own. The wire
/// types know no domain, so the service that does fills its lists in. A schema that the document does not have is passed
/// over.
pub fn list_values(
    document: &mut OpenApi,
    schema: &str,
    property: &str,
    name: &str,
    values: &[(&str, &str)],
) {
    let schemas = document.components.as_mut().map(|components| &mut components.schemas);
    let Some(RefOr::T(Schema::Object(object))) = schemas.and_then(|all| all.get_mut(schema)) else { return };
    let Some(RefOr::T(Schema::Object(text))) = object.properties.get_mut(property) else { return };
    let nothing = matches!(&text.schema_type, SchemaType::Array(types) if types.contains(&Type::Null));
    let mut reference = Ref::from_schema_name(name);
    reference.description = text.description.clone().unwrap_or_default();
    let reference = if nothing {
        OneOfBuilder::new().item(reference).item(ObjectBuilder::new().schema_type(Type::Null)).into()
    } else {
        reference.default = text.default.clone();
        RefOr::Ref(reference)
    };
    object.properties.insert(property.to_owned(), reference);
    list_names(document, name, values);
}

/// Makes a schema of names of those that there are, each with what it means.
pub fn list_names(document: &mut OpenApi, schema: &str, names: &[(&str, &str)]) {
    let meanings: String = names.iter().map(|(name, meaning)| format!("\n- `{name}`: {meaning}")).collect();
    let list = json!({"type": "string", "enum": names.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "description": format!("One of those listed.\n{meanings}")});
    set_schema(document, schema, list);
}

/// Puts a schema (JSON Schema) under a name: in the place of one that the wire types leave open, whose description it
/// keeps, or as a new one.
///
/// # Panics
/// When it is no schema: a mistake of the caller's code.
#[allow(clippy::expect_used, reason = "see Panics")]
pub fn set_schema(document: &mut OpenApi, name: &str, mut schema: Value) {
    let components = document.components.get_or_insert_with(Components::new);
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

/// The one that the document comes from comes first: the documents' page tries things out there, wherever it is.
fn servers(info: &ServiceInfo) -> Vec<Server> {
    let variable = |value: &str, description: &str| {
        ServerVariableBuilder::new().default_value(value).description(Some(description)).build()
    };
    let here = ServerBuilder::new().url(".").description(Some("The service that this document comes from"));
    let elsewhere = ServerBuilder::new()
        .url("http://{host}:{port}")
        .description(Some("A service at a place of your choice"))
        .parameter("host", variable("127.0.0.1", "Where the service runs."))
        .parameter("port", variable(&info.port.to_string(), "The port that it listens on."));
    vec![here.build(), elsewhere.build()]
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
