import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";

import { InvalidWebhook, verify } from "@hookpost/receiver";

import { cases } from "./vectors.mjs";

const seconds = (date) => date && date.getTime() / 1000;

/** An event as the vectors write it. */
const told = (event) => ({
  id: event.id,
  type: event.type,
  data: event.data,
  timestamp: seconds(event.timestamp),
  occur_time: seconds(event.occurTime),
  attempt: event.attempt,
  delivery_id: event.deliveryId,
});

describe("verification", () => {
  for (const each of cases("verification")) {
    test(each.name, async () => {
      const body = Buffer.from(each.body_base64, "base64");
      const options = Object.fromEntries(["scheme", "tolerance", "header", "now"].map((name) => [name, each[name]]));
      if (each.max_size !== undefined) options.maxSize = each.max_size;
      const verifying = verify(body, each.headers, each.keys, options);
      if (each.expect.event) {
        const event = await verifying;
        assert.deepEqual(told(event), each.expect.event);
        assert.deepEqual(Buffer.from(event.body), body);
      } else {
        await assert.rejects(verifying, (error) => {
          assert(error instanceof InvalidWebhook);
          assert.equal(error.reason, each.expect.reason);
          assert(!each.keys.some((key) => key && error.message.includes(key)));
          return true;
        });
      }
    });
  }
});

describe("signing", () => {
  for (const { key, id, timestamp, body, standard, hex } of cases("signing")) {
    test(`${key.slice(0, 8)} ${body.slice(0, 8)}`, async () => {
      const headers = { "webhook-id": id, "webhook-timestamp": `${timestamp}`, "webhook-signature": standard, hex };
      const options = { now: timestamp, header: "hex" };
      for (const scheme of ["standard", "hex"]) {
        const verifying = verify(body, headers, key, { ...options, scheme });
        const reason = await verifying.then(() => null, (error) => error.reason);
        assert.equal(reason, body.startsWith("{") ? null : "malformed"); // the signature fits all the same
      }
    });
  }
});

test("what is not bytes was parsed", async () => {
  for (const body of [{ event: "A" }, [], null, undefined, 7]) {
    await assert.rejects(verify(body, {}, "key"), { reason: "body_parsed", message: /before verification/ });
  }
});

test("bytes and headers of another realm", async () => {
  const [each] = cases("verification");
  const bytes = new Uint8Array(Buffer.from(each.body_base64, "base64"));
  const body = runInNewContext("new Uint8Array(bytes)", { bytes });
  const headers = { get: (name) => each.headers[name] ?? null };
  assert.equal((await verify(body, headers, each.keys, { now: each.now })).type, "PostSignIn");
});

test("whatever comes in, nothing but InvalidWebhook comes out", async () => {
  const deep = `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  const odd = [undefined, null, {}, [], { "webhook-id": ["a"], "webhook-signature": [] }, { "webhook-timestamp": 7 }];
  const values = ["", "\u0000", "ÿ", "\ud800", "v1,\ud800", "9".repeat(500), "v1,".repeat(500)];
  for (const value of values) {
    odd.push({ "webhook-id": value, "webhook-timestamp": "1", "webhook-signature": value });
    odd.push({ "webhook-timestamp": value, "webhook-signature": value, "hookpost-signature-sha-256": value });
  }
  for (const headers of odd) {
    for (const body of ["", "\ud800", "{", deep, Buffer.from([255])]) {
      for (const keys of ["a key", "whsec_AAAA", [], [null], undefined, "whsec_!"]) {
        for (const scheme of ["standard", "hex"]) {
          await assert.rejects(verify(body, headers, keys, { scheme }), InvalidWebhook);
        }
      }
    }
  }
  const signature = createHmac("sha256", "a key").update(deep).digest("hex");
  const event = await verify(deep, { "hookpost-signature-sha-256": signature }, "a key", { scheme: "hex" });
  assert.equal(event.type, ""); // this parser has no depth to run out of
});
