import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { settle } from "../dist/connection.js";

const names = ["ADDRESS", "API_KEY", "API_KEY_FILE", "CA", "CLIENT_CERT", "CLIENT_KEY"];
let before;
beforeEach(() => {
  before = { ...process.env };
  for (const name of names) delete process.env[`HOOKPOST_${name}`];
});
afterEach(() => (process.env = before));

const isSecure = (address) => settle({ address }).credentials._isSecure();

test("TLS everywhere but on loopback, unless the address says it", () => {
  const far = ["a.example:443", "10.0.0.1:1", "[2001:db8::1]:1", "127.evil.example:1", "https://localhost:1"];
  for (const address of far) {
    assert(isSecure(address), address);
  }
  for (const address of ["localhost:1", "127.9.9.9:50051", "[::1]:1", "", "unix:/a", "http://10.0.0.1:1/"]) {
    assert(!isSecure(address), address);
  }
  assert.equal(settle({ address: "http://10.0.0.1:1", apiKey: "k", insecure: true }).target, "10.0.0.1:1");
  for (const wrong of [
    { address: "host" },
    { address: "http://10.0.0.1:1", apiKey: "k" },
    { address: "a:1", caFile: "/no/such" },
    { address: "a:1", certFile: "x" },
  ]) {
    assert.throws(() => settle(wrong));
  }
});

test("settings from the environment", () => {
  assert.deepEqual([settle({}).target, settle({}).apiKey], ["127.0.0.1:50051", ""]);
  const file = join(mkdtempSync(join(tmpdir(), "hookpost-")), "key");
  writeFileSync(file, "from-a-file\n");
  process.env.HOOKPOST_ADDRESS = "hookpost.internal:443";
  process.env.HOOKPOST_API_KEY_FILE = file;
  assert.deepEqual([settle({}).target, settle({}).apiKey], ["hookpost.internal:443", "from-a-file"]);
  process.env.HOOKPOST_API_KEY = "theirs";
  assert.equal(settle({}).apiKey, "theirs");
  assert.deepEqual([settle({ address: "b:1" }).target, settle({ apiKey: "ours" }).apiKey], ["b:1", "ours"]);
});
