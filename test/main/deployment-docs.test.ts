/** The configuration in docs/deployment.md is one that `serve` takes. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../../src/config.js'
import { readSettings } from '../../src/settings.js'
import { readSettingsFile } from '../../src/settings/file.js'

test('the configuration file of the deployment guide holds settings that exist', () => {
  const text = readFileSync(join(packageRoot, 'docs', 'deployment.md'), 'utf8')
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? []
  const folder = mkdtempSync(join(tmpdir(), 'savepoint-deployment-'))
  try {
    const path = join(folder, 'savepoint.yaml')
    writeFileSync(path, yaml)
    const { values } = readSettings({}, {}, readSettingsFile(path))
    expect(values).toMatchObject({ 'server.hosts': ['kernels.example'], 'kernels.max': 200 })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
