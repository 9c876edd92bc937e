use super::*;

fn described(mut document: Value) -> Value {
    describe(&mut document);
    document
}

#[test]
fn a_page_has_a_name_and_refers_to_its_items_and_what_nobody_uses_goes() {
    let answer =
        json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page_Run"}}}});
    let page = json!({"properties": {"items": {"type": "array", "items": {"type": "object", "title": "written out"}}}});
    let document = described(json!({
        "paths": {"/runs": {"get": {"operationId": "list_all_runs", "responses": {"200": answer}}}},
        "components": {"schemas": {"Page_Run": page, "Run": {"$ref": "#/components/schemas/Id"}, "Id": {}, "Left": {}},
            "responses": {"Left": {}}},
    }));
    assert_eq!(document["paths"]["/runs"]["get"]["operationId"], "listAllRuns");
    assert!(document.to_string().contains("#/components/schemas/RunPage"));
    let components = &document["components"];
    assert_eq!(components["schemas"]["RunPage"]["properties"]["items"]["items"], reference("Run"));
    assert_eq!(
        components["schemas"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["Id", "Run", "RunPage"]
    );
    assert_eq!(components["responses"], json!({}));
}

#[test]
fn the_variants_of_a_tagged_union_have_names_and_a_discriminator() {
    let variant =
        |tags: &[&str]| json!({"type": "object", "properties": {"kind": {"type": "string", "enum": tags}}});
    let mut rule = variant(&["fast", "cheap"]);
    rule["title"] = "hand rule".into();
    let document = described(json!({
        "paths": {"/": {"get": {"schema": reference("Policy")}}},
        "components": {"schemas": {"Policy": {"oneOf": [variant(&["q-learning"]), rule]}}},
    }));
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["Policy"],
        json!({"oneOf": [reference("QLearningPolicy"), reference("HandRulePolicy")],
            "discriminator": {"propertyName": "kind", "mapping": {
                "q-learning": "#/components/schemas/QLearningPolicy",
                "fast": "#/components/schemas/HandRulePolicy",
                "cheap": "#/components/schemas/HandRulePolicy"}}})
    );
    assert_eq!(schemas["HandRulePolicy"], variant(&["fast", "cheap"]));
}

#[test]
fn what_has_no_tag_is_no_tagged_union() {
    let document = json!({
        "paths": {"/": {"get": {"schema": reference("Either")}}},
        "components": {"schemas": {"Either": {"oneOf": [
            {"type": "object", "properties": {"kind": {"type": "string", "enum": ["a"]}}}, {"type": "string"}]}}},
    });
    assert_eq!(described(document.clone()), document);
}

#[test]
fn a_body_that_is_no_json_is_text_or_bytes() {
    let body = |media_type: &str, schema: Value| {
        let document = described(json!({"content": {media_type: {"schema": schema}}}));
        document["content"][media_type]["schema"].clone()
    };
    let bytes = json!({"type": "array", "items": {"type": "integer", "format": "u-int8"}});
    let png = json!({"type": "string", "format": "binary", "contentMediaType": "image/png"});
    assert_eq!(body("image/png", bytes.clone()), png);
    assert_eq!(body("application/octet-stream", bytes), json!({"type": "string", "format": "binary"}));
    assert_eq!(body("text/csv", json!({})), json!({"type": "string", "contentMediaType": "text/csv"}));
    assert_eq!(
        body("text/event-stream", reference("Event")),
        json!({"type": "string", "contentMediaType": "text/event-stream",
            "contentSchema": {"type": "array", "items": reference("Event")}})
    );
    for json in ["application/json", "application/merge-patch+json", "application/problem+json"] {
        assert_eq!(body(json, reference("Run")), reference("Run"), "{json}");
    }
}

#[test]
fn what_is_absent_is_not_null() {
    let header = json!({"in": "header", "schema": {"type": ["string", "null"], "maxLength": 200}});
    let document = described(json!({"parameters": [header],
        "properties": {"name": {"type": ["string", "null"], "default": null}, "limit": {"type": "integer", "default": 1}}}));
    assert_eq!(document["parameters"][0]["schema"], json!({"type": "string", "maxLength": 200}));
    assert_eq!(document["properties"]["name"], json!({"type": ["string", "null"]}));
    assert_eq!(document["properties"]["limit"]["default"], 1);
}

#[test]
fn what_is_only_answered_is_null_only_where_it_is_always_there() {
    let schema = json!({"type": "object", "required": ["psi"], "properties": {
        "psi": {"type": ["number", "null"]},
        "error": {"type": ["string", "null"]},
        "root": {"oneOf": [{"$ref": "#/components/schemas/Hash", "description": "Its root."}, {"type": "null"}]},
    }});
    let body = |name: &str| json!({"content": {"application/json": {"schema": reference(name)}}});
    let document = described(json!({
        "paths": {"/": {"post": {"requestBody": body("Asked"), "responses": {"200": body("Told")}}}},
        "components": {"schemas": {"Asked": schema, "Hash": {"type": "string"}, "Told": schema}},
    }));
    assert_eq!(document["components"]["schemas"]["Asked"], schema);
    assert_eq!(
        document["components"]["schemas"]["Told"]["properties"],
        json!({"psi": {"type": ["number", "null"]}, "error": {"type": "string"},
            "root": {"$ref": "#/components/schemas/Hash", "description": "Its root."}})
    );
}

#[test]
fn whole_numbers_have_a_registered_format_and_a_bound() {
    let number = |format: &str| described(json!({"type": "integer", "format": format, "minimum": 0}));
    assert_eq!(
        number("u-int16"),
        json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 65535})
    );
    assert_eq!(
        number("u-int64"),
        json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_u64})
    );
    let less = json!({"type": "integer", "format": "u-int32", "maximum": 7});
    assert_eq!(described(less)["maximum"], 7, "a bound of its own stays");
}
