"""The OpenAPI document describes the interface: every route, every key, and what the server answers."""

import json

import numpy as np
import pytest
from helpers.toy_shapes import draw, picture_bytes, toy_searcher

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from hypothesis import HealthCheck, settings, strategies  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

from zscmr.server.app import DOCUMENT, Api, make_app  # noqa: E402
from zscmr.server.limits import FORMATS, LIMITS  # noqa: E402
from zscmr.server.question import CHOICES, DEFAULTS  # noqa: E402

pytest_plugins = ("helpers.toy_server",)
TOKEN = "of-the-tests-0123"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
WRITTEN = json.loads(DOCUMENT.read_text(encoding="utf-8"))
READ = schemathesis.openapi.from_dict(WRITTEN)
SHAPE = draw("bar", np.random.default_rng(0))
for kind, name in FORMATS.items():
    schemathesis.openapi.media_type(kind, strategies.sampled_from([picture_bytes(SHAPE, name), b"", b"no picture"]))


@pytest.fixture
def guarded(serve):
    """A server that expects a token."""
    return serve(token=TOKEN)


def test_every_route_is_described(drawn):
    api = Api(toy_searcher(drawn))
    routes = make_app(api, None).app.routes
    served = {route.path_format: getattr(route, "methods", {"GET"}) - {"HEAD"} for route in routes}
    api.close()
    verbs = {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert served == {path: verbs & set(map(str.upper, item)) for path, item in WRITTEN["paths"].items()}


def test_every_parameter_of_a_search_is_described():
    search = WRITTEN["paths"]["/search"]["post"]
    schemas = {one["name"]: one["schema"] for one in search["parameters"]}
    assert set(schemas) == {*DEFAULTS, "class"}
    assert set(search["requestBody"]["content"]) == {*FORMATS, "application/json"}
    defaults = {name: str(schema["default"]) for name, schema in schemas.items() if "default" in schema}
    assert defaults == {name: value for name, value in DEFAULTS.items() if value is not None}
    assert schemas["top"]["maximum"] == LIMITS.top and set(schemas["unseen"]["enum"]) == set(CHOICES["unseen"])


def test_every_key_of_an_answer_is_described(serve, folders, sketch):
    """Keys that a client may meet are in the document; `required` ones are checked by the next test."""
    server, schemas = serve(may_add=True), WRITTEN["components"]["schemas"]
    state = server.json("POST", "/add", {"folder": str(folders["photo"])}, 202)
    server.api.adding.wait()
    answer, health = server.search(sketch), server.json("GET", "/health")
    hit = answer["found"][0]
    details, classes = server.json("GET", f"/details/{hit['id']}"), server.json("GET", "/classes")["photo"]
    answered = {"Adding": state, "Answer": answer, "Hit": hit, "Health": health, "Details": details, "Classes": classes}
    for name, value in {**answered, "Count": classes["folders"][0], "Adding": health["adding"]}.items():
        assert set(schemas[name]["required"]) <= set(value) <= set(schemas[name]["properties"]), name


@READ.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_server_answers_as_described(case, guarded):
    """Requests made from the document, good and bad ones: status, type and form of each answer, token, methods.

    A schema cannot say which pictures can be read and which classes the gallery has: a refusal of those is no fault.
    """
    case.call_and_validate(base_url=guarded.url, headers=AUTHORIZED, excluded_checks=[positive_data_acceptance])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["picture", "thumbnail", "preview", "details"])
def test_pictures_are_answered_as_described(guarded, name):
    picture = guarded.searcher.table.pictures("photo").ids[0]
    case = READ[f"/{name}/{{id}}"]["GET"].Case(path_parameters={"id": picture})
    assert case.call_and_validate(base_url=guarded.url, headers=AUTHORIZED).status_code == 200
