//! What the errors mean that every service's routes can answer with, in its documents. A route's own
//! description of a status goes before these.

use utoipa::{
    PartialSchema as _, ToSchema as _,
    openapi::{
        Components, ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, ResponseBuilder, Type,
        path::Operation,
    },
};

use crate::error::INTERNAL_DETAIL;

/// Documents the errors that this operation may answer with, and what the errors that it describes itself
/// look like.
pub(crate) fn add_to(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        match response {
            RefOr::T(response) if status.starts_with(['4', '5']) && response.content.is_empty() => {
                let content = ContentBuilder::new().schema(schema()).build();
                response.content.insert(MEDIA_TYPE.to_owned(), content.into());
            }
            _ => {}
        }
    }
    let takes_json = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.contains_key("application/json"),
        _ => false,
    };
    let parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    for problem in &PROBLEMS {
        let may_happen = match problem.when {
            When::Always => true,
            When::WithBody => operation.request_body.is_some(),
            When::WithJson => takes_json,
            When::WithInput => takes_json || parameters,
        };
        if may_happen {
            let reference = RefOr::Ref(Ref::from_response_name(problem.name));
            operation.responses.responses.entry(problem.status.to_string()).or_insert(reference);
        }
    }
}

/// Documents that this operation may answer with errors that nothing else tells of.
pub(crate) fn add_ranges_to(operation: &mut Operation) {
    for (range, name) in [("4XX", OTHER), ("5XX", SERVER_ERROR.name)] {
        let reference = RefOr::Ref(Ref::from_response_name(name));
        operation.responses.responses.entry(range.to_owned()).or_insert(reference);
    }
}

/// Defines what the operations refer to.
pub(crate) fn add_components(components: &mut Components) {
    components.schemas.insert(api::FieldError::name().into_owned(), api::FieldError::schema());
    components.schemas.insert(api::Problem::name().into_owned(), api::Problem::schema());
    let other = ResponseBuilder::new()
        .description(
            "Any other error, as an RFC 9457 problem: `code` is stable, `detail` says what to do, and the operator \
             finds the request in the log under `request_id`.",
        )
        .content(MEDIA_TYPE, ContentBuilder::new().schema(schema()).build())
        .build();
    components.responses.insert(OTHER.to_owned(), other.into());
    for problem in PROBLEMS.iter().chain([&SERVER_ERROR]) {
        components.responses.insert(problem.name.to_owned(), problem.response().into());
    }
}

/// An error that services have in common.
struct Meaning {
    status: u16,
    /// Its name among the components.
    name: &'static str,
    description: &'static str,
    /// `code` and `detail` of the example.
    example: (&'static str, &'static str),
    /// Whether the answer says when to try again.
    retry_after: bool,
    when: When,
}

/// Which operations it is documented for.
enum When {
    Always,
    WithBody,
    WithJson,
    WithInput,
}

const PROBLEMS: [Meaning; 8] = [
    Meaning {
        status: 400,
        name: "MalformedJson",
        description: "The body is no JSON; `detail` says at which line and column.",
        example: ("malformed_json", "The body is not JSON: expected value at line 2 column 3."),
        retry_after: false,
        when: When::WithJson,
    },
    Meaning {
        status: 401,
        name: "Unauthorized",
        description: "The service has API keys, and the request has none of them.",
        example: (
            "missing_api_key",
            "This service wants an API key: send `Authorization: Bearer <key>` with one.",
        ),
        retry_after: false,
        when: When::Always,
    },
    Meaning {
        status: 403,
        name: "Forbidden",
        description: "The key has none of the scopes that this operation needs; `detail` names them. Or, in a service \
                      without keys, a browser sent this for a page of another site.",
        example: (
            "insufficient_scope",
            "The API key `dashboard` may not do this: it needs the scope `write`, and the key has `read`. Use one that \
             has it, or ask the operator for one.",
        ),
        retry_after: false,
        when: When::Always,
    },
    Meaning {
        status: 413,
        name: "BodyTooLarge",
        description: "The body is longer than this route takes; `detail` says how long it may be.",
        example: (
            "body_too_large",
            "The body is longer than this route takes: at most 16777216 bytes. Send less at once.",
        ),
        retry_after: false,
        when: When::WithBody,
    },
    Meaning {
        status: 415,
        name: "UnsupportedMediaType",
        description: "The body's content-type is not JSON.",
        example: (
            "unsupported_media_type",
            "The body has no content-type; send JSON with `content-type: application/json`.",
        ),
        retry_after: false,
        when: When::WithJson,
    },
    Meaning {
        status: 422,
        name: "InvalidRequest",
        description: "A field or parameter is missing, unknown or out of range; `errors` points at each.",
        example: ("invalid_request", "The request is not valid: `?limit`: expected at least 1."),
        retry_after: false,
        when: When::WithInput,
    },
    Meaning {
        status: 429,
        name: "RateLimited",
        description: "The caller sends more requests a second than the operator allows.",
        example: (
            "rate_limited",
            "More than 100 requests per second came with one API key. Wait as long as Retry-After says, then continue \
             more slowly.",
        ),
        retry_after: true,
        when: When::Always,
    },
    Meaning {
        status: 503,
        name: "Unavailable",
        description: "The service cannot answer now: it is at work on as many requests as it takes at once, is \
                      shutting down, or lacks something that it needs. The same request may succeed later.",
        example: (
            "overloaded",
            "The service is at work on as many requests as it takes at once. Try again in a second.",
        ),
        retry_after: true,
        when: When::Always,
    },
];

const SERVER_ERROR: Meaning = Meaning {
    status: 500,
    name: "ServerError",
    description: "500 `internal_error`: a fault of the service, whose cause is in its log under `request_id`. 504 \
                  `timeout`: no answer in time; whether the request was carried out is unknown, so repeat it with \
                  the same `Idempotency-Key`, or look it up.",
    example: ("internal_error", INTERNAL_DETAIL),
    retry_after: false,
    when: When::Always,
};

const OTHER: &str = "Problem";
const MEDIA_TYPE: &str = "application/problem+json";

fn schema() -> Option<Ref> {
    Some(Ref::from_schema_name(api::Problem::name()))
}

impl Meaning {
    fn response(&self) -> utoipa::openapi::Response {
        let (code, detail) = self.example;
        let title =
            axum::http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let example = serde_json::json!({
            "type": format!("/problems/{code}"),
            "title": title,
            "status": self.status,
            "code": code,
            "detail": detail,
            "request_id": "0190b1c2-7a3e-7c55-9d0f-2f6a1c0e4b7d",
        });
        let content = ContentBuilder::new().schema(schema()).example(Some(example)).build();
        let mut response = ResponseBuilder::new().description(self.description).content(MEDIA_TYPE, content);
        if self.retry_after {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
            let header = HeaderBuilder::new()
                .schema(Some(seconds))
                .description(Some("After how many seconds to try again."))
                .build();
            response = response.header("Retry-After", header);
        }
        response.build()
    }
}
