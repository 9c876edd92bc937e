"""The walk of docs/walk.md through clients that openapi-python-client made of the OpenAPI documents.

    walk.py PSI_FIELD_URL TRAINER_URL REMEMBRANCER_URL EVALUATOR_URL

Every answer is checked twice: by the generated types that it is read into, and against the document's schemas.
"""

import csv
import hashlib
import io
import json
import sys
import time
from typing import Any, TypeVar

import evaluator
import httpx
import psi_field
import remembrancer
import trainer
from contract import Contract, events
from evaluator.api.evaluations import create_evaluation, get_evaluation, get_evaluation_results_csv, list_evaluations
from evaluator.api.reports import get_evaluation_report, get_plot_png, get_plot_svg
from evaluator.models import Evaluation, EvaluationPage, EvaluationStatus, NewEvaluation
from evaluator.models import EnvironmentSpec as EvaluatedEnvironment
from evaluator.models import Preset as EvaluatedPreset
from evaluator.types import File as Image
from psi_field.api.existing_clients import get_field_state
from psi_field.api.interventions import list_interventions
from psi_field.api.swarms import delete_swarm, get_swarm
from psi_field.models import DeletedSwarm, InterventionRecordPage, Swarm
from psi_field.models import State as FieldState
from remembrancer.api.artifacts import get_artifact, put_artifact
from remembrancer.api.decisions import get_decisions_csv, get_decisions_ndjson, list_decisions
from remembrancer.api.log import get_checkpoint, get_evidence, get_run_head, verify_evidence
from remembrancer.api.records import get_record, list_records
from remembrancer.api.tiles import get_checkpoint_note, get_tile
from remembrancer.models import Artifact, Evidence, Record, RecordedDecision, RecordedDecisionPage, RecordPage
from remembrancer.models import RunHead, Verification
from remembrancer.models import Checkpoint as LogCheckpoint
from remembrancer.types import File
from trainer.api.environments import create_environment, delete_environment, play_turn
from trainer.api.policies import ask_policy, report_outcome
from trainer.api.runs import create_run, get_run, get_run_comparison, get_run_comparison_csv, get_run_events
from trainer.api.runs import get_run_metrics_csv, get_run_metrics_ndjson, list_run_agents, list_run_metrics, list_runs
from trainer.api.runs import update_run
from trainer.models import AgentStatePage, DecisionRequest, EnvironmentSpec, EnvironmentTurn, EpisodeMetrics
from trainer.models import EpisodeMetricsPage, NewEnvironment, NewRun, NewTurn, Outcome, PlayedEnvironment, Preset
from trainer.models import Problem, QLearningAlgorithm, QLearningAlgorithmName, RecordedOutcome, Resolution, RoutingRequest
from trainer.models import Run, RunComparison, RunPage, RunPatch, RunStatus, ServedDecisions, WindowMetricsPage

EPISODES = 2
T = TypeVar("T")


def expect(kind: type[T], response: Any, status: int = 200) -> T:
    """The answer as the type that the document promises for this status."""
    assert response.status_code == status, f"{response.status_code} instead of {status}: {response.content!r}"
    assert isinstance(response.parsed, kind), f"{type(response.parsed)} instead of {kind}"
    return response.parsed


psi_field_url, trainer_url, remembrancer_url, evaluator_url = sys.argv[1:]
urls = {"psi-field": psi_field_url, "trainer": trainer_url, "remembrancer": remembrancer_url, "evaluator": evaluator_url}
contracts = {name: Contract(httpx.get(f"{url}/openapi.json").json()) for name, url in urls.items()}


def options(service: str) -> dict[str, Any]:
    hooks = {"response": [contracts[service].check]}
    return {"base_url": urls[service], "timeout": httpx.Timeout(120), "httpx_args": {"event_hooks": hooks}}


training = trainer.Client(**options("trainer"))
watching = psi_field.Client(**options("psi-field"))
ledger = remembrancer.Client(**options("remembrancer"))
judging = evaluator.Client(**options("evaluator"))

# Train a swarm, and follow it.
wanted = NewRun(
    algorithm=QLearningAlgorithm(name=QLearningAlgorithmName.Q_LEARNING),
    agents=3,
    episodes=EPISODES,
    seed=7,
    environment=EnvironmentSpec(preset=Preset.CONTENDED),
    name="python walk",
    tags=["demo"],
)
run = expect(Run, create_run.sync_detailed(client=training, body=wanted), 202)
stream = events(expect(str, get_run_events.sync_detailed(run.id, client=training)))
steps = [data for name, data in stream if name == "window"]
assert len(steps) == EPISODES * 120, len(steps)
assert stream[-1][0] == "end" and Run.from_dict(stream[-1][1]).status == RunStatus.COMPLETED
run = expect(Run, get_run.sync_detailed(run.id, client=training))
assert run.status == RunStatus.COMPLETED and run.progress.episodes_done == EPISODES and run.name == "python walk"
runs = expect(RunPage, list_runs.sync_detailed(client=training, tag="demo", limit=1))
assert [item.id for item in runs.items] == [run.id]

# What a patch does not name stays as it is.
patched = expect(Run, update_run.sync_detailed(run.id, client=training, body=RunPatch(notes="walked")))
assert (patched.name, patched.tags, patched.notes) == ("python walk", ["demo"], "walked"), patched

# Read its metrics: as a page, as CSV, as lines of JSON.
rows = expect(EpisodeMetricsPage, list_run_metrics.sync_detailed(run.id, client=training)).items
windows = list_run_metrics.sync_detailed(run.id, client=training, resolution=Resolution.WINDOW, limit=10)
assert len(expect(WindowMetricsPage, windows).items) == 10
table = list(csv.DictReader(io.StringIO(expect(str, get_run_metrics_csv.sync_detailed(run.id, client=training)))))
assert [int(row["episode"]) for row in table] == [row.episode for row in rows] == list(range(EPISODES))
lines = expect(str, get_run_metrics_ndjson.sync_detailed(run.id, client=training)).splitlines()
assert [EpisodeMetrics.from_dict(json.loads(line)) for line in lines] == rows
agents = expect(AgentStatePage, list_run_agents.sync_detailed(run.id, client=training, limit=1))
assert agents.items[0].agent == 0 and agents.next_cursor == "1"
same = expect(RunComparison, get_run_comparison.sync_detailed(client=training, a=run.id, b=run.id))
assert same.same_digest
compared = expect(str, get_run_comparison_csv.sync_detailed(client=training, a=run.id, b=run.id))
assert compared.startswith("metric,"), compared

# See what the monitor did.
swarm = expect(Swarm, get_swarm.sync_detailed(str(run.id), client=watching))
assert swarm.agents == 3 and swarm.next_window == EPISODES * 120
expect(InterventionRecordPage, list_interventions.sync_detailed(str(run.id), client=watching))
expect(FieldState, get_field_state.sync_detailed(client=watching))

# Ask the policy for a decision, prove it, and report its outcome.
job = RoutingRequest(tenant="tenant-gaming", workload="general_compute", gpu_hours=1.5)
served = expect(ServedDecisions, ask_policy.sync_detailed(run.id, client=training, body=DecisionRequest([job])))
decision = served.decisions[0]
proof = get_evidence.sync_detailed(client=ledger, run=served.run, sequence=decision.sequence)
verdict = expect(Verification, verify_evidence.sync_detailed(client=ledger, body=expect(Evidence, proof)))
assert verdict.valid, verdict.reason
happened = Outcome(succeeded=True, latency_ms=318.5, cost_usd=2.75)
told = expect(RecordedOutcome, report_outcome.sync_detailed(decision.id, client=training, body=happened), 201)
assert told.decision_id == decision.id

# Look at the decisions of the training: as a page, as CSV, as lines of JSON.
page = expect(RecordedDecisionPage, list_decisions.sync_detailed(client=ledger, run=run.digest, limit=1))
first = page.items[0]
assert first.run == run.digest and first.sequence == 0 and page.next_cursor
of_step = get_decisions_ndjson.sync_detailed(client=ledger, run=run.digest, episode=0, step=0)
decided = expect(str, of_step).splitlines()
assert RecordedDecision.from_dict(json.loads(decided[0])) == first
of_step = get_decisions_csv.sync_detailed(client=ledger, run=run.digest, episode=0, step=0)
exported = list(csv.DictReader(io.StringIO(expect(str, of_step))))
assert len(exported) == len(decided) > 1 and exported[0]["run"] == run.digest
head = expect(RunHead, get_run_head.sync_detailed(run.digest, client=ledger))
assert head.run_root == run.run_root
expect(LogCheckpoint, get_checkpoint.sync_detailed(client=ledger))
assert expect(str, get_checkpoint_note.sync_detailed(client=ledger)).startswith("ai-mesh/log\n")
tile = expect(File, get_tile.sync_detailed("0", "000", client=ledger)).payload.read()
assert len(tile) == 256 * 32, len(tile)

# Store a file, and have it back: any bytes.
content = bytes(range(256))
name = hashlib.sha256(content).hexdigest()
stored = put_artifact.sync_detailed(name, client=ledger, body=File(payload=io.BytesIO(content)))
assert stored.status_code in (200, 201) and isinstance(stored.parsed, Artifact), stored
assert expect(File, get_artifact.sync_detailed(name, client=ledger)).payload.read() == content
assert isinstance(run.policy_sha256, str)
policy = expect(File, get_artifact.sync_detailed(run.policy_sha256, client=ledger)).payload.read()
assert hashlib.sha256(policy).hexdigest() == run.policy_sha256

# Evaluate the policy, and fetch the report.
environment = EvaluatedEnvironment(preset=EvaluatedPreset.CONTENDED)
plan = NewEvaluation(policies=[run.policy_sha256], environment=environment, seeds=2, limit_steps=5)
evaluation = expect(Evaluation, create_evaluation.sync_detailed(client=judging, body=plan), 202)
while evaluation.status == EvaluationStatus.RUNNING:
    time.sleep(0.5)
    evaluation = expect(Evaluation, get_evaluation.sync_detailed(evaluation.id, client=judging))
assert evaluation.status == EvaluationStatus.COMPLETED and evaluation.result, evaluation.error
assert evaluation.result.verdicts
expect(EvaluationPage, list_evaluations.sync_detailed(client=judging))
assert "<figure>" in expect(str, get_evaluation_report.sync_detailed(evaluation.id, client=judging))
png = expect(Image, get_plot_png.sync_detailed(evaluation.id, "policy_comparison", client=judging)).payload.read()
assert png.startswith(b"\x89PNG\r\n\x1a\n"), png[:16]
svg = expect(str, get_plot_svg.sync_detailed(evaluation.id, "policy_comparison", client=judging))
assert svg.lstrip().startswith("<svg"), svg[:80]
assert expect(str, get_evaluation_results_csv.sync_detailed(evaluation.id, client=judging)).count("\n") > 10

# Play an environment turn by turn: the first provider that may have the request.
spec = NewEnvironment(environment=EnvironmentSpec(preset=Preset.CONTENDED), seed=7)
played = expect(PlayedEnvironment, create_environment.sync_detailed(client=training, body=spec), 201)
choice = NewTurn(turn=0, choices=[played.turn.action_masks[0].index(True)])
turn = expect(EnvironmentTurn, play_turn.sync_detailed(played.id, client=training, body=choice))
assert turn.turn == 1 and turn.rewards[0] > 0, turn
assert delete_environment.sync_detailed(played.id, client=training).status_code == 204

# Search the ledger.
found = expect(RecordPage, list_records.sync_detailed(client=ledger, q="python walk", limit=1)).items[0]
assert found.kind.startswith("run"), found
assert expect(Record, get_record.sync_detailed(found.id, client=ledger)) == found

# Delete what nobody watches any more.
deleted = expect(DeletedSwarm, delete_swarm.sync_detailed(str(run.id), client=watching))
assert (deleted.next_window, deleted.record) == (swarm.next_window, f"swarm:{run.id}:deletion:0"), deleted
assert get_swarm.sync_detailed(str(run.id), client=watching).status_code == 410

# Make a mistake.
problem = expect(Problem, create_run.sync_detailed(client=training, body=NewRun(agents=0)), 422)
assert problem.code == "invalid_request" and problem.errors, problem
assert [error.pointer for error in problem.errors] == ["/agents"], problem.errors

called = {name: len(contract.checked) for name, contract in contracts.items()}
print(f"python: the walk is done; operations called: {called}")
