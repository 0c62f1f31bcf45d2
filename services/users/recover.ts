// Takes the users back that user-events has and a restored database has not: docs/disaster.md.
import { decodeEvent } from '#contracts/index.ts';
import { recoverCommand } from '#platform/recovery';
import { usersRecovery } from './recovery.ts';

process.exitCode = await recoverCommand({ ...usersRecovery, decode: decodeEvent }, process.argv.slice(2));
