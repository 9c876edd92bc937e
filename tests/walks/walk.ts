// The walk of docs/walk.md through clients that @hey-api/openapi-ts made of the OpenAPI documents.
//
//     walk.js PSI_FIELD_URL TRAINER_URL REMEMBRANCER_URL EVALUATOR_URL

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import * as evaluator from "./evaluator/index.js";
import { client as judging } from "./evaluator/client.gen.js";
import * as psiField from "./psi-field/index.js";
import { client as watching } from "./psi-field/client.gen.js";
import * as remembrancer from "./remembrancer/index.js";
import { client as ledger } from "./remembrancer/client.gen.js";
import * as trainer from "./trainer/index.js";
import { client as training } from "./trainer/client.gen.js";

const EPISODES = 2;

/** The answer as the type that the document promises for this status. */
async function expect<T>(call: Promise<{ data?: T; error?: unknown; response?: Response }>, status = 200): Promise<T> {
  const { data, error, response } = await call;
  assert.equal(response?.status, status, JSON.stringify(error));
  assert.ok(data !== undefined, "the answer has no body");
  return data;
}

const [psiFieldUrl, trainerUrl, remembrancerUrl, evaluatorUrl] = process.argv.slice(2);
watching.setConfig({ baseUrl: psiFieldUrl });
training.setConfig({ baseUrl: trainerUrl });
ledger.setConfig({ baseUrl: remembrancerUrl });
judging.setConfig({ baseUrl: evaluatorUrl });

// Train a swarm, and follow it: the names of its events as they come.
const wanted: trainer.NewRun = {
  algorithm: { name: "q-learning" },
  agents: 3,
  episodes: EPISODES,
  seed: 8,
  environment: { preset: "contended" },
  name: "typescript walk",
  tags: ["typescript"],
};
const { id, digest } = await expect(trainer.createRun({ body: wanted }), 202);
const path = { id };
const names: (string | undefined)[] = [];
const { stream } = await trainer.getRunEvents({ path, onSseEvent: ({ event }) => names.push(event) });
for await (const _ of stream);
assert.equal(names.filter((name) => name === "window").length, EPISODES * 120);
assert.equal(names.at(-1), "end");
const run = await expect(trainer.getRun({ path }));
assert.equal(run.status, "completed");
assert.equal(run.progress.episodes_done, EPISODES);
const runs = await expect(trainer.listRuns({ query: { tag: "typescript", limit: 1 } }));
assert.equal(runs.items[0]?.id, id);

// What a patch does not name stays as it is.
const patched = await expect(trainer.updateRun({ path, body: { notes: "walked" } }));
assert.deepEqual([patched.name, patched.tags, patched.notes], ["typescript walk", ["typescript"], "walked"]);

// Read its metrics: as a page, as CSV, as lines of JSON.
const rows = await expect(trainer.listRunMetrics({ path }));
assert.deepEqual(rows.items.map((row) => row.episode), [0, 1]);
const table = (await expect(trainer.getRunMetricsCsv({ path }))).trimEnd().split("\n");
assert.equal(table.length, 1 + EPISODES);
assert.ok(table[0]?.startsWith("episode,avg_reward,"));
// What is not JSON by its media type is taken as it is asked for.
const lines = (await expect(trainer.getRunMetricsNdjson({ path, parseAs: "text" }))).trimEnd().split("\n");
assert.deepEqual(lines.map((line) => JSON.parse(line) as trainer.MetricsRow), rows.items);
const agents = await expect(trainer.listRunAgents({ path, query: { limit: 1 } }));
assert.equal(agents.items[0]?.agent, 0);
assert.equal(agents.next_cursor, "1");
const compared = await expect(trainer.getRunComparison({ query: { a: id, b: id } }));
assert.ok(compared.same_digest);
assert.match(await expect(trainer.getRunComparisonCsv({ query: { a: id, b: id } })), /^metric,/);

// See what the monitor did.
const swarm = await expect(psiField.getSwarm({ path }));
assert.equal(swarm.next_window, EPISODES * 120);
const interventions = await expect(psiField.listInterventions({ path }));
assert.ok(Array.isArray(interventions.items));

// Ask the policy for a decision, prove it, and report its outcome.
const job = { tenant: "tenant-gaming", workload: "general_compute", gpu_hours: 1.5 };
const served = await expect(trainer.askPolicy({ path, body: { requests: [job] } }));
const decision = served.decisions[0];
assert.ok(decision);
const proof = await expect(remembrancer.getEvidence({ query: { run: served.run, sequence: decision.sequence } }));
const verdict = await expect(remembrancer.verifyEvidence({ body: proof }));
assert.ok(verdict.valid, verdict.reason);
const outcome = { succeeded: true, latency_ms: 318.5, cost_usd: 2.75 };
const told = await expect(trainer.reportOutcome({ path: { id: decision.id }, body: outcome }), 201);
assert.equal(told.decision_id, decision.id);

// Look at the decisions of the training: as a page, as CSV, as lines of JSON.
const page = await expect(remembrancer.listDecisions({ query: { run: digest, limit: 1 } }));
assert.equal(page.items[0]?.run, digest);
const query = { run: digest, episode: 0, step: 0 };
const decided = (await expect(remembrancer.getDecisionsNdjson({ query, parseAs: "text" }))).trimEnd().split("\n");
assert.deepEqual(JSON.parse(decided[0] ?? "") as remembrancer.RecordedDecision, page.items[0]);
const exported = (await expect(remembrancer.getDecisionsCsv({ query }))).trimEnd().split("\n");
assert.equal(exported.length, 1 + decided.length);
const head = await expect(remembrancer.getRunHead({ path: { digest } }));
assert.equal(head.run_root, run.run_root);
assert.match(await expect(remembrancer.getCheckpointNote()), /^ai-mesh\/log\n/);

// Store a file, and have it back: any bytes.
const content = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const sha256 = createHash("sha256").update(content).digest("hex");
const stored = await remembrancer.putArtifact({ path: { sha256 }, body: new Blob([content]) });
assert.ok(stored.data, JSON.stringify(stored.error));
assert.equal(stored.data.size_bytes, content.length);
const back = await expect(remembrancer.getArtifact({ path: { sha256 } }));
assert.deepEqual(new Uint8Array(await back.arrayBuffer()), content);

// Evaluate the policy, and fetch the report.
assert.ok(run.policy_sha256);
const plan: evaluator.NewEvaluation = {
  policies: [run.policy_sha256],
  environment: { preset: "contended" },
  seeds: 2,
  limit_steps: 5,
};
let evaluation = await expect(evaluator.createEvaluation({ body: plan }), 202);
const judged = { id: evaluation.id };
while (evaluation.status === "running") {
  await new Promise((later) => setTimeout(later, 500));
  evaluation = await expect(evaluator.getEvaluation({ path: judged }));
}
assert.equal(evaluation.status, "completed", evaluation.error ?? "");
assert.ok(evaluation.result?.verdicts.length);
assert.match(await expect(evaluator.getEvaluationReport({ path: judged })), /<figure>/);
const chart = { path: { id: evaluation.id, name: "policy_comparison" } };
const png = await expect(evaluator.getPlotPng(chart));
assert.equal(Buffer.from(await png.arrayBuffer()).subarray(0, 8).toString("latin1"), "\x89PNG\r\n\x1a\n");
const svg = await expect(evaluator.getPlotSvg(chart));
assert.match(await svg.text(), /^\s*<svg/);
assert.match(await expect(evaluator.getEvaluationResultsCsv({ path: judged })), /^policy,/);

// Play an environment turn by turn: the first provider that may have the request.
const environment = { preset: "contended" } as const;
const played = await expect(trainer.createEnvironment({ body: { environment, seed: 7 } }), 201);
const choices = [played.turn.action_masks[0]?.indexOf(true) ?? 0];
const turn = await expect(trainer.playTurn({ path: { id: played.id }, body: { turn: 0, choices } }));
assert.equal(turn.turn, 1);
assert.ok((turn.rewards[0] ?? 0) > 0);
const gone = await trainer.deleteEnvironment({ path: { id: played.id } });
assert.equal(gone.response?.status, 204);

// Search the ledger.
const found = await expect(remembrancer.listRecords({ query: { q: "typescript walk", limit: 1 } }));
const record = found.items[0];
assert.ok(record);
assert.deepEqual(await expect(remembrancer.getRecord({ path: { id: record.id } })), record);

// Delete what nobody watches any more.
const deleted = await expect(psiField.deleteSwarm({ path }));
assert.deepEqual([deleted.next_window, deleted.record], [swarm.next_window, `swarm:${id}:deletion:0`]);
const nobody = await psiField.getSwarm({ path });
assert.equal(nobody.response?.status, 410);

// Make a mistake.
const wrong = await trainer.createRun({ body: { agents: 0 } });
assert.equal(wrong.response?.status, 422);
assert.equal(wrong.error?.code, "invalid_request");
assert.deepEqual(wrong.error?.errors?.map((error) => error.pointer), ["/agents"]);

console.log("typescript: the walk is done");
