// Takes the events of orders back that order-events has and a restored database has not: docs/disaster.md.
import { decodeEvent } from '#contracts/index.ts';
import { recoverCommand } from '#platform/recovery';
import { ordersRecovery } from './commands/recovery.ts';

process.exitCode = await recoverCommand({ ...ordersRecovery, decode: decodeEvent }, process.argv.slice(2));
