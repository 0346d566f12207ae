import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, describe, test } from "node:test";

import express from "express";
import { Hono } from "hono";

import { verify } from "@hookpost/receiver";
import { receive as receiveNode } from "@hookpost/receiver/express";
import { receive as receiveFetch } from "@hookpost/receiver/fetch";

const KEY = "a key";
const BODY = '{"event":"User.Created","createdAt":"2026-08-21T10:00:00.000Z","n":1.0,"hookId":"whk_1"}';
const options = { keys: KEY, scheme: "hex", maxSize: 1000 };

function post(body, key = KEY) {
  const signature = createHmac("sha256", key).update(body).digest("hex");
  const headers = { "content-type": "application/json", "hookpost-signature-sha-256": signature };
  return { method: "POST", headers, body };
}

async function serve(listener) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => server.close());
  return (path, init) => fetch(`http://127.0.0.1:${server.address().port}${path}`, init);
}

async function check(send) {
  let answer = await send("/hook", post(BODY));
  assert.deepEqual([answer.status, await answer.text()], [200, "User.Created"]);
  answer = await send("/quiet", post(BODY));
  assert.equal(answer.status, 204);
  for (const [path, body, key, status, reason] of [
    ["/hook", BODY, "another", 401, "bad_signature"],
    ["/hook", `${BODY}${" ".repeat(1000)}`, KEY, 413, "too_large"],
    ["/hook", "x".repeat(4_000_000), KEY, 413, "too_large"],
    ["/hook", "[1]", KEY, 400, "malformed"],
    ["/hook", "", KEY, 400, "malformed"],
    ["/parsed", BODY, KEY, 500, "the body was parsed before verification"],
  ]) {
    answer = await send(path, post(body, key));
    assert.equal(answer.status, status, path);
    assert.match(await answer.text(), new RegExp(reason));
  }
  answer = await send("/fails", post(BODY));
  assert.equal(answer.status, 500);
  assert.doesNotMatch(await answer.text(), /secret/);
}

const fails = () => {
  throw new Error("secret");
};

describe("adapters", () => {
  test("Express", async () => {
    const app = express();
    app.set("env", "production");
    app.post("/hook", receiveNode(options, (event, _, response) => response.send(event.type)));
    app.post("/quiet", receiveNode(options, async () => {}));
    app.post("/raw", express.raw({ type: "*/*" }), receiveNode(options, async () => {}));
    app.post("/text", express.text({ type: "*/*" }), receiveNode(options, async () => {}));
    app.post("/fails", receiveNode(options, fails));
    app.use(express.json());
    app.post("/parsed", receiveNode(options, fails));
    app.use((error, request, response, next) => response.status(500).end());
    const send = await serve(app);
    await check(send);
    assert.equal((await send("/raw", post(BODY))).status, 204);
    assert.equal((await send("/text", post(BODY))).status, 204);
  });

  test("Node's http", async () => {
    const hooks = {
      "/hook": receiveNode(options, (event, _, response) => response.end(event.type)),
      "/quiet": receiveNode(options, () => {}),
      "/fails": receiveNode(options, fails),
      "/parsed": async (request, response) => {
        for await (const _ of request);
        await receiveNode(options, fails)(request, response);
      },
      "/doubts": receiveNode(options, () => verify("{}", {}, KEY)),
      "/late": receiveNode(options, (event, _, response) => verify(response.end(event.type) && "{}", {}, KEY)),
    };
    const send = await serve((request, response) => hooks[request.url](request, response));
    await check(send);
    assert.equal((await send("/doubts", post(BODY))).status, 500); // it is not this request that was refused
    assert.equal((await send("/late", post(BODY))).status, 200); // and the process lives
  });

  test("Hono", async () => {
    const app = new Hono();
    const hook = receiveFetch(options, (event) => new Response(event.type));
    app.post("/hook", (context) => hook(context.req.raw));
    app.post("/quiet", (context) => receiveFetch(options, async () => {})(context.req.raw));
    app.post("/fails", (context) => receiveFetch(options, fails)(context.req.raw));
    app.post("/parsed", async (context) => {
      await context.req.json();
      return hook(context.req.raw);
    });
    app.onError((_, context) => context.text("", 500));
    await check((path, init) => app.request(path, init));
  });

  test("a Next.js route", async () => {
    const POST = receiveFetch(options, (event) => Response.json({ type: event.type }));
    const answer = await POST(new Request("http://a/hook", post(BODY)));
    assert.deepEqual(await answer.json(), { type: "User.Created" });
  });
});
