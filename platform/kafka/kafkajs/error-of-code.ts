import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The error that kafkajs has for a code of Kafka's protocol. */
export const { createErrorFromCode: errorOfCode } = require('kafkajs/src/protocol/error') as {
  createErrorFromCode(code: number): Error & { type: string };
};
