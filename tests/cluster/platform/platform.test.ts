// Tests the installed platform of MILLRACE_NAMESPACE in this order: the installation, the values of the charts, upgrades, the
// view of clients, the operator and each kind, lost pods, an uninstall, the end.
import { after, before, describe } from 'node:test';

import { withoutPlatform } from './cluster.ts';
import { startCollector, stopCollector } from './collector.ts';
import { declaredServices } from './declared-services.ts';
import { Installed } from './installed.ts';
import { installation } from './installation.ts';
import { journey } from './journey.ts';
import { losses } from './losses.ts';
import { manyQueries } from './many-queries.ts';
import { permutationsOfValues } from './permutations.ts';
import { rebuilds } from './rebuilds.ts';
import { rest } from './rest.ts';
import { replays } from './replays.ts';
import { replicas } from './replicas.ts';
import { rotation } from './rotation.ts';
import { scaling } from './scaling.ts';
import { streamQueries } from './stream-queries.ts';
import { teardown } from './teardown.ts';
import { uninstall } from './uninstall.ts';
import { upgrade } from './upgrade.ts';
import { allowSeconds } from '#test/time-limit.ts';

allowSeconds(3_600); // it upgrades, scales and kills pods

describe('the platform in a cluster', { skip: withoutPlatform }, () => {
  const platform = new Installed();
  before(async () => {
    await platform.open();
    await startCollector(platform.image);
  });
  after(async () => {
    await stopCollector();
    await platform.close();
  });

  installation(platform);
  permutationsOfValues();
  upgrade(platform);
  replicas();
  rotation(platform);
  journey(platform);
  // these do not affect each other
  describe('meanwhile', { concurrency: true }, () => {
    describe('of orders', { concurrency: 1 }, () => {
      rebuilds();
      scaling(platform);
    });
    streamQueries(platform);
    replays(platform);
    declaredServices(platform);
  });
  manyQueries();
  rest();
  losses(platform);
  uninstall(platform);
  teardown();
});
