import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { addressOf, authorization, credentialsOf } from "../dist/connection.js";

const names = ["HOOKPOST_ADDRESS", "HOOKPOST_API_KEY", "HOOKPOST_CA_FILE"];
let before;
beforeEach(() => {
  before = { ...process.env };
  for (const name of names) delete process.env[name];
});
afterEach(() => (process.env = before));

const isSecure = (options) => credentialsOf(options)._isSecure();

test("TLS everywhere but on loopback", () => {
  for (const address of ["hookpost.internal:443", "10.0.0.1:50051", "[2001:db8::1]:1", "127.evil.example:1"]) {
    assert(isSecure({ address }), address);
    assert(!isSecure({ address, insecure: true }), address);
  }
  for (const address of ["localhost:1", "127.9.9.9:50051", "[::1]:1", ""]) assert(!isSecure({ address }), address);
  for (const wrong of [{ address: "host" }, { caFile: "/no/such" }, { caFile: "x", insecure: true }]) {
    assert.throws(() => credentialsOf(wrong));
  }
});

test("settings from the environment", () => {
  assert.equal(addressOf({}), "127.0.0.1:50051");
  assert.equal(authorization({}).length, 0);
  process.env.HOOKPOST_ADDRESS = "hookpost.internal:443";
  process.env.HOOKPOST_API_KEY = "k";
  assert.equal(addressOf({}), "hookpost.internal:443");
  assert.equal(addressOf({ address: "other:1" }), "other:1");
  assert.equal(authorization({}).length, 1);
});
