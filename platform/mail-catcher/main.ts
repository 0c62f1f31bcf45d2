import { Type } from 'typebox';

import { commonConfig, loadConfig } from '#platform/config';
import { runService } from '#platform/lifecycle';

import { startMailCatcher } from './mail-catcher.ts';

const configSchema = Type.Object({
  ...commonConfig,
  SMTP_PORT: Type.Integer({ minimum: 0, maximum: 65_535 }),
});

await runService('mail-catcher', async (service) => {
  const { PORT, SMTP_PORT, HOST, TRUSTED_HOSTS } = loadConfig(configSchema);
  const catcher = await startMailCatcher({
    smtpPort: SMTP_PORT,
    pagePort: PORT,
    host: HOST,
    trustedHosts: TRUSTED_HOSTS,
  });
  service.onStop('mail', () => catcher.stop());
  service.log.info({ smtp: SMTP_PORT, page: PORT }, 'listening');
});
