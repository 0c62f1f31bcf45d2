// The bench of the operator preloads this file, so that the operator takes itself for a pod: the files of its service account are
// in the folder that the query of this file's address names, and the names of Services are this machine.
import dns from 'node:dns';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const folder = new URL(import.meta.url).searchParams.get('account');
const mounted = '/var/run/secrets/kubernetes.io/serviceaccount';

const { lookup } = dns;
dns.lookup = (host, options, callback) => lookup(host.endsWith('.svc') ? '127.0.0.1' : host, options, callback);
const { readFileSync } = fs;
fs.readFileSync = (path, ...rest) =>
  readFileSync(typeof path === 'string' ? path.replace(mounted, folder) : path, ...rest);
syncBuiltinESMExports();
