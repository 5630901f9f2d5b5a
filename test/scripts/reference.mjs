/** `npm run reference`: writes the tables of docs/configuration.md and docs/api.md anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { compile, prepare, root } from '../../src/main/prepare.mjs'

prepare()
const { settingsReference } = await import('../../dist/settings/reference.js')
const path = join(root, 'docs', 'configuration.md')
const [before] = readFileSync(path, 'utf8').split('<!-- settings -->')
const text = `${before}<!-- settings -->\n\n${settingsReference()}`
writeFileSync(path, await format(text, { ...(await resolveConfig(path)), parser: 'markdown' }))

compile('test/tsconfig.json', 'build', ['src', 'test'])
const { apiReference } = await import('../../build/test/support/api-reference.js')
const api = join(root, 'docs', 'api.md')
writeFileSync(api, await format(await apiReference(), { ...(await resolveConfig(api)), parser: 'markdown' }))
