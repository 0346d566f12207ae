// One emit in a thread of its own: grpc-js throttles the retries to an address, not those of a channel.
import { parentPort, workerData } from "node:worker_threads";

import { Client, HookpostError } from "@hookpost/client";

const { address, type } = workerData;
const hookpost = new Client({ address });
try {
  const { duplicate } = await hookpost.emit(type, { n: 1 });
  parentPort.postMessage({ code: "OK", duplicate });
} catch (error) {
  if (!(error instanceof HookpostError) || error.idempotencyKey === "") throw error;
  const { code, reason, retryable, violations } = error;
  parentPort.postMessage({ code, reason, retryable, violations });
} finally {
  hookpost.close();
}
