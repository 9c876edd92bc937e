use axum::Router;
use utoipa::{
    OpenApi as _, PartialSchema as _, ToSchema as _,
    openapi::{
        Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, ResponseBuilder,
        path::{Operation, PathItem},
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
    document.info = InfoBuilder::new()
        .title(info.title)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(info.description))
        .license(Some(LicenseBuilder::new().name(LICENSE).identifier(Some(LICENSE)).build()))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    add_problem(components);
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
        for range in ["4XX", "5XX"] {
            let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
            operation.responses.responses.entry(range.to_owned()).or_insert(problem);
        }
    }
    (router, document)
}

const LICENSE: &str = env!("CARGO_PKG_LICENSE");
const KEY_SCHEME: &str = "api_key";
const PROBLEM: &str = "Problem";

fn add_problem(components: &mut Components) {
    components.schemas.insert(api::FieldError::name().into_owned(), api::FieldError::schema());
    components.schemas.insert(api::Problem::name().into_owned(), api::Problem::schema());
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(api::Problem::name()))).build();
    let response = ResponseBuilder::new()
        .description(
            "Any other error, as an RFC 9457 problem: `code` is stable, `detail` says what to do, and the operator \
             finds the request in the log under `request_id`.",
        )
        .content("application/problem+json", content)
        .build();
    components.responses.insert(PROBLEM.to_owned(), response.into());
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
