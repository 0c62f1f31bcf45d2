import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findJava } from '#local/kafka-java.ts';
import { startOwnBroker } from '#test/own-broker.ts';
import { freePort } from '#test/ports.ts';
import type { KafkaConnection } from '#platform/kafka';

const listeners = ['SCRAM', 'TLS'] as const;

type Credentials = Required<KafkaConnection>['sasl'];

/** A separate broker of a test with authentication, by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, and with ACLs. */
export interface SecureKafka {
  /** Without TLS. */
  scram: Required<Pick<KafkaConnection, 'brokers' | 'sasl'>>;
  /** Over TLS. */
  tls: Required<Omit<KafkaConnection, 'compression'>>;
  stop(): Promise<void>;
}

/** Starts a broker with a user who may do everything, and with others, who may do what ACLs say. */
export async function startSecureKafka(sasl: Credentials, others: readonly Credentials[] = []): Promise<SecureKafka> {
  const found = findJava();
  if (found.problem !== undefined) throw new Error(found.problem);
  const java = found.program;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kafka-'));
  chmodSync(folder, 0o700);
  try {
    const { keystore, ca } = makeCertificate(java, folder);
    const [port, controllerPort, scram, tls] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const server = await startOwnBroker({
      folder,
      port,
      controllerPort,
      settings: {
        ...listening({ port, controllerPort, scram, tls }, [sasl, ...others]),
        ...keystore,
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': `User:ANONYMOUS;User:${sasl.username}`, // ANONYMOUS is the broker itself
      },
      formatting: [sasl, ...others].flatMap(({ username, password }) =>
        ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
          '--add-scram',
          `${mechanism}=[name=${username},password=${password}]`,
        ]),
      ),
    });
    return {
      scram: { brokers: [`127.0.0.1:${scram}`], sasl },
      tls: { brokers: [`localhost:${tls}`], sasl, tls: { ca } },
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

/** The broker connects to itself in plain text; other clients say who they are, on one of two ports over TLS. */
function listening(
  ports: { port: number; controllerPort: number; scram: number; tls: number },
  users: readonly Credentials[],
) {
  const { port, controllerPort, scram, tls } = ports;
  const open = `PLAINTEXT://127.0.0.1:${port}`;
  const secure = `SCRAM://127.0.0.1:${scram},TLS://localhost:${tls}`;
  const scramLogin = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  const known = users.map(({ username, password }) => `user_${username}="${password}"`).join(' ');
  const logins = {
    'scram-sha-256': scramLogin,
    'scram-sha-512': scramLogin,
    plain: `org.apache.kafka.common.security.plain.PlainLoginModule required ${known};`,
  };
  return {
    listeners: `${open},CONTROLLER://127.0.0.1:${controllerPort},${secure}`,
    'advertised.listeners': `${open},${secure}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_PLAINTEXT,TLS:SASL_SSL',
    'sasl.enabled.mechanisms': Object.keys(logins).join(',').toUpperCase(),
    ...Object.fromEntries(
      listeners.flatMap((name) =>
        Object.entries(logins).map(([mechanism, login]) => [
          `listener.name.${name.toLowerCase()}.${mechanism}.sasl.jaas.config`,
          login,
        ]),
      ),
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
