import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";

import { Client } from "@hookpost/client";
import { GetEventRequest } from "@hookpost/client/v1";

/** A server that the tests of the whole project start. */
function server(t, variable) {
  const address = process.env[variable];
  if (!address) t.skip(`${variable} is not set; run \`make test-long ARGS=tests/clients\``);
  return address;
}

function client(t, options) {
  const made = new Client(options);
  t.after(() => made.close());
  return made;
}

const { cases } = JSON.parse(readFileSync(new URL("../../../../conformance/calls.json", import.meta.url)));

describe("calls", () => {
  for (const { name, type, expect } of cases) {
    test(name, async (t) => {
      const address = server(t, "HOOKPOST_TEST_SCRIPTED");
      if (!address) return;
      const worker = new Worker(new URL("call.mjs", import.meta.url), { workerData: { address, type } });
      const [outcome] = await once(worker, "message");
      const violations = expect.code === "OK" ? {} : { violations: [] };
      assert.deepEqual(outcome, { ...violations, ...expect });
    });
  }
});

test("against a server", async (t) => {
  const address = server(t, "HOOKPOST_TEST_ADDRESS");
  if (!address) return;
  const hookpost = client(t, { address });
  const tenantId = `ts-${randomUUID().slice(0, 8)}`;
  const occurTime = new Date("2026-08-21T10:00:00Z");
  const exact = '{"n": 1.0, "big": 9007199254740993}';
  const options = { tenantId, occurTime, idempotencyKey: "order-7" };
  const first = await hookpost.emit("User.Created", exact, options);
  assert.equal(first.duplicate, false);
  assert.deepEqual(await hookpost.emit("User.Created", Buffer.from(exact), options), { ...first, duplicate: true });
  const get = promisify(hookpost.events.getEvent.bind(hookpost.events));
  const { event } = await get(GetEventRequest.create({ eventId: first.eventId, tenantId }));
  assert.deepEqual([event.json, event.occurTime], [exact, occurTime]);

  const batch = [{ type: "User.Created", payload: {}, tenantId }, { type: "User.Deleted", payload: {} }];
  assert.equal(new Set((await hookpost.emitBatch(batch)).map(({ eventId }) => eventId)).size, 2);
  const unknown = [...batch, { type: "No.Such", payload: {} }];
  await assert.rejects(hookpost.emitBatch(unknown), { reason: "EVENT_TYPE_UNKNOWN", code: "NOT_FOUND" });
  const wrong = await hookpost.emit("User.Created", [1], { tenantId }).catch((error) => error);
  assert.deepEqual([wrong.code, wrong.violations.length, wrong.retryable], ["INVALID_ARGUMENT", 1, false]);
  for (const payload of [{ n: 1n }, Buffer.from([255])]) {
    await assert.rejects(hookpost.emit("User.Created", payload), { reason: "FIELD_INVALID" });
  }
});

test("the emitter", async (t) => {
  const address = server(t, "HOOKPOST_TEST_ADDRESS");
  if (!address) return;
  const emitter = client(t, { address }).emitter({ window: 50 });
  const tenantId = `ts-${randomUUID().slice(0, 8)}`;
  const emitting = Array.from({ length: 500 }, (_, n) => emitter.emit("User.Created", { n }, { tenantId }));
  await assert.rejects(emitter.emit("No.Such", {}, { tenantId }), { reason: "EVENT_TYPE_UNKNOWN", code: "NOT_FOUND" });
  assert.equal(new Set((await Promise.all(emitting)).map(({ eventId }) => eventId)).size, 500);
  const late = emitter.emit("User.Created", {}, { tenantId, signal: AbortSignal.abort() });
  await assert.rejects(late, { code: "CANCELLED" });
  emitter.close();
  await assert.rejects(emitter.emit("User.Created", {}), { code: "CANCELLED" });
});

test("nobody there within the time", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = `127.0.0.1:${taken.address().port}`;
  await promisify(taken.close.bind(taken))();
  // Longer than five attempts last: who does not wait for the server is UNAVAILABLE by then.
  const hookpost = client(t, { address, timeoutMs: 2500 });
  const emitter = hookpost.emitter();
  t.after(() => emitter.close());
  for (const sender of [hookpost, emitter]) {
    const error = await sender.emit("User.Created", {}, { idempotencyKey: "k" }).catch((error) => error);
    assert.deepEqual([error.code, error.retryable, error.idempotencyKey], ["DEADLINE_EXCEEDED", true, "k"]);
  }
  await assert.rejects(hookpost.emitBatch([{ type: "User.Created", payload: {} }]), { code: "DEADLINE_EXCEEDED" });
  const signal = AbortSignal.timeout(50);
  await assert.rejects(hookpost.emit("User.Created", {}, { signal, timeoutMs: 20_000 }), { code: "CANCELLED" });
});

test("a client that is closed before its emitter", async (t) => {
  const hookpost = client(t, { address: "127.0.0.1:1" });
  const emitter = hookpost.emitter();
  await assert.rejects(emitter.emit("User.Created", {}, { timeoutMs: 250 }), { code: "DEADLINE_EXCEEDED" });
  const emitting = emitter.emit("User.Created", {}); // the stream is to be opened again
  hookpost.close();
  await assert.rejects(emitting, { code: "CANCELLED" });
  await assert.rejects(emitter.emit("User.Created", {}), { code: "CANCELLED" });
});

test("TLS and the API key", async (t) => {
  const address = server(t, "HOOKPOST_TEST_TLS");
  if (!address) return;
  const hookpost = client(t, { address, apiKey: "k1", caFile: process.env.HOOKPOST_TEST_CA_FILE });
  const emitter = hookpost.emitter();
  t.after(() => emitter.close());
  for (const sender of [hookpost, emitter]) assert.equal((await sender.emit("A.B", {})).eventId, "evt_1");
});

test("a stream that breaks", async (t) => {
  const address = server(t, "HOOKPOST_TEST_TLS");
  if (!address) return;
  const emitter = client(t, { address, apiKey: "k1", caFile: process.env.HOOKPOST_TEST_CA_FILE }).emitter();
  t.after(() => emitter.close());
  const emitting = Array.from({ length: 10 }, (_, n) => emitter.emit("Conformance.Broken", { n }));
  assert((await Promise.all(emitting)).every(({ eventId }) => eventId === "evt_1"));
  await assert.rejects(emitter.emit("Conformance.Stranger", {}), { code: "UNAUTHENTICATED" });
});
