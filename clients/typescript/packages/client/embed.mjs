// Writes what the package embeds: the service config of the API and its own version.
import { readFileSync, writeFileSync } from "node:fs";

const json = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url)));
const config = JSON.stringify(json("../../../../proto/service_config.json"));
const { version } = json("package.json");
writeFileSync(
  new URL("src/generated/embedded.ts", import.meta.url),
  `export const SERVICE_CONFIG = ${JSON.stringify(config)};\nexport const VERSION = ${JSON.stringify(version)};\n`,
);
