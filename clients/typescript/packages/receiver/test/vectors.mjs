import { readFileSync } from "node:fs";

/** The vectors that every language runs. */
export function cases(name) {
  return JSON.parse(readFileSync(new URL(`../../../../conformance/${name}.json`, import.meta.url))).cases;
}
