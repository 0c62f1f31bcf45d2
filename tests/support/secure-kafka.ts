import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { KAFKA_VERSION, untilReady } from '#local/kafka.ts';
import { findJava, kafkaClasspath, startJavaKafka } from '#local/kafka-java.ts';
import { freePort } from '#test/ports.ts';
import type { KafkaConnection } from '#platform/kafka';

const cache = fileURLToPath(new URL('../../.millrace', import.meta.url));
const listeners = ['SCRAM', 'TLS'] as const;

/** Why this machine cannot run such a broker; undefined if it can. */
export const noSecureKafka: string | undefined = findJava().problem;

/** A separate broker of a test with authentication. */
export interface SecureKafka {
  /** With SCRAM-SHA-512, without TLS. */
  scram: Required<Pick<KafkaConnection, 'brokers' | 'sasl'>>;
  /** With SCRAM-SHA-512 over TLS. */
  tls: Required<Omit<KafkaConnection, 'compression' | 'freshCa'>>;
  stop(): Promise<void>;
}

/** Starts a broker with the user of that name and password. */
export async function startSecureKafka(sasl: { username: string; password: string }): Promise<SecureKafka> {
  const found = findJava();
  if (found.problem !== undefined) throw new Error(found.problem);
  const java = found.program;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'));
  chmodSync(folder, 0o700);
  try {
    const { keystore, ca } = makeCertificate(java, folder);
    const [port, controllerPort, scram, tls] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const never = new AbortController().signal;
    const classpath = await kafkaClasspath(KAFKA_VERSION, { cache, say: (line) => console.error(line), signal: never });
    const server = await startJavaKafka(KAFKA_VERSION, java, classpath, {
      folder,
      port,
      controllerPort,
      settings: { ...listening({ port, controllerPort, scram, tls }), ...keystore },
      formatting: ['--add-scram', `SCRAM-SHA-512=[name=${sasl.username},password=${sasl.password}]`],
    });
    await untilReady(server, { port, signal: never });
    return {
      scram: { brokers: [`127.0.0.1:${scram}`], sasl },
      tls: { brokers: [`localhost:${tls}`], sasl, ca },
      stop: async () => {
        await server.stop();
        rmSync(folder, { recursive: true });
      },
    };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The broker connects to itself in plain text; other clients need SCRAM, on one of two ports over TLS. */
function listening(ports: { port: number; controllerPort: number; scram: number; tls: number }) {
  const { port, controllerPort, scram, tls } = ports;
  const open = `PLAINTEXT://127.0.0.1:${port}`;
  const secure = `SCRAM://127.0.0.1:${scram},TLS://localhost:${tls}`;
  const login = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  return {
    listeners: `${open},CONTROLLER://127.0.0.1:${controllerPort},${secure}`,
    'advertised.listeners': `${open},${secure}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_PLAINTEXT,TLS:SASL_SSL',
    'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
    ...Object.fromEntries(
      listeners.map((name) => [`listener.name.${name.toLowerCase()}.scram-sha-512.sasl.jaas.config`, login]),
    ),
  };
}

/** A self-signed certificate of `localhost`, and the broker's settings for its keystore. */
function makeCertificate(java: string, folder: string): { keystore: Record<string, string>; ca: string } {
  const file = join(folder, 'keystore.p12');
  const password = 'of-a-test';
  const store = ['-alias', 'kafka', '-keystore', file, '-storetype', 'PKCS12', '-storepass', password];
  const keytool = (...args: string[]) =>
    execFileSync(java.replace(/java$/, 'keytool'), [...args, ...store], { encoding: 'utf8', stdio: 'pipe' });
  const key = ['-keyalg', 'EC', '-groupname', 'secp256r1', '-validity', '2'];
  keytool('-genkeypair', ...key, '-dname', 'CN=localhost', '-ext', 'SAN=DNS:localhost');
  const keystore = {
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.location': file,
    'ssl.keystore.password': password,
  };
  return { keystore, ca: keytool('-exportcert', '-rfc') };
}
