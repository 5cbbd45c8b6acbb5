import eslint from '@eslint/js';
import { importX } from 'eslint-plugin-import-x';
import jest from 'eslint-plugin-jest';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

// Lowest layer first; a folder may import only from the layers before its own, siblings do not know each other.
const layers = [
  ['common'],
  ['circuit-breaker'],
  ['redis'],
  ['message-bus'],
  ['lock', 'rate-limit', 'collections'],
  ['cache'],
  ['http-cache'],
  ['idempotency', 'gateway', 'metrics', 'tracing', 'health', 'admin', 'adapters', 'testing'],
];
const zones = layers.flatMap((folders, level) =>
  folders.map((folder) => ({
    target: `./src/${folder}`,
    from: layers
      .slice(level)
      .flat()
      .filter((other) => other !== folder)
      .map((other) => `./src/${other}`),
    message: `src/${folder} may import only from lower layers`,
  })),
);

/** Libraries that exactly one folder may load at run time; their types may be named anywhere. */
const owners = {
  ioredis: 'redis',
  opossum: 'circuit-breaker',
  'prom-client': 'metrics',
  '@opentelemetry/api': 'tracing',
  undici: 'gateway',
};
const onlyOwners = (files, allowed) => ({
  files,
  ignores: ['src/**/*.spec.ts'],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        paths: Object.entries(owners)
          .filter(([name]) => name !== allowed)
          .map(([name, folder]) => ({ name, allowTypeImports: true, message: `only src/${folder} may load ${name}` })),
      },
    ],
  },
});
const ownedImports = [
  onlyOwners(['src/**/*.ts']),
  ...Object.entries(owners).map(([name, folder]) => onlyOwners([`src/${folder}/**/*.ts`], name)),
];

export default defineConfig(
  { ignores: ['dist', 'dist-sample', 'coverage', 'docs', 'bench', 'src/admin/dashboard/dashboard.html.ts'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    plugins: { 'import-x': importX },
    settings: {
      'import-x/extensions': ['.ts'],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/resolver': { node: { extensions: ['.ts', '.js'] } },
    },
    rules: {
      'import-x/no-cycle': 'error',
      'import-x/no-restricted-paths': ['error', { zones }],
      // `async` also turns what a method throws into a rejection.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      '@typescript-eslint/consistent-type-imports': 'off',
      // Overloads that say different things about what they take help inference where a union would not.
      '@typescript-eslint/unified-signatures': ['error', { ignoreDifferentlyNamedParameters: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  ...ownedImports,
  {
    files: ['test/**/*.ts', 'src/**/*.spec.ts'],
    extends: [jest.configs['flat/recommended']],
    rules: {
      // A test may leave out what it knows is there; the assertion that follows says so.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Contract suites are functions that several spec files call.
      'jest/no-export': 'off',
      // What of a contract takes its time is not run on every implementation.
      'jest/no-standalone-expect': ['error', { additionalTestBlockFunctions: ['overTime'] }],
      'jest/expect-expect': [
        'warn',
        { assertFunctionNames: ['expect', 'expect*', 'eventually*', 'fc.assert', 'request.**.expect'] },
      ],
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
      },
    },
  },
);
