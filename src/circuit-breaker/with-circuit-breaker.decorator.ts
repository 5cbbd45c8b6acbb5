import { checkOptions } from '../common/decorator-options.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { text } from '../common/option-rules.ts';
import { parameterListOf } from '../common/parameter-list.ts';
import {
  type AsyncMethod,
  type AsyncMethodDecorator,
  type Declaration,
  declarationOf,
  type Invocation,
  refuseToRun,
  wrapMethod,
} from '../common/wrap-method.ts';
import { circuitOf as circuitBehind, runGiven } from './circuit-breaker.handle.ts';
import { CircuitBreakerService } from './circuit-breaker.service.ts';
import { type CircuitBreakerConfig, readCircuitConfig } from './circuit.config.ts';
import type { Circuit } from './circuit.ts';

export interface WithCircuitBreakerOptions {
  /**
   * The method of the class that answers when a call fails or is refused. It gets the arguments of the call, then the
   * error. Errors that do not count are passed on nevertheless.
   */
  readonly fallback?: string;
}

const RULES = { fallback: text('the name of a method', /\S/) };

/** What one `@WithCircuitBreaker` says about a method, checked once when its class is defined. */
export interface CircuitOperation extends WithCircuitBreakerOptions {
  readonly config: CircuitBreakerConfig;
  /** The circuit as one application has it. */
  readonly circuitOf: (service: CircuitBreakerService) => Circuit;
  /** How many arguments the error comes after, also where a caller leaves some out. */
  readonly arity: number;
}

const OPERATIONS = Symbol.for('nestjs-keep:with-circuit-breaker');

/** What stands on a method, the innermost first. */
export const circuitOperationsOf = (method: object): readonly CircuitOperation[] =>
  (Reflect.getMetadata(OPERATIONS, method) ?? []) as readonly CircuitOperation[];

/**
 * Runs the method behind the circuit of that name, or of that configuration; methods that give one name share its state
 * and statistics, nothing else.
 *
 * A call that is refused rejects with CircuitOpenError or CircuitFullError (503), one that takes too long with
 * CircuitTimeoutError (504), unless there is a `fallback`. Without a running `CacheModule` every call rejects: nothing
 * runs unprotected.
 *
 * @throws InvalidOptionsError when the class is defined, naming the method and everything that is wrong
 * @publicApi
 */
export function WithCircuitBreaker<M extends AsyncMethod>(
  circuit: string | CircuitBreakerConfig,
  options: WithCircuitBreakerOptions = {},
): AsyncMethodDecorator<M> {
  return (prototype, property, descriptor) => {
    const declaration = declarationOf(prototype, property, descriptor);
    const operation = operationOf(circuit, options, declaration);
    const others = circuitOperationsOf(descriptor.value as object);
    const method = wrapMethod<CircuitBreakerService>(prototype, property, descriptor, {
      token: CircuitBreakerService,
      around: (invocation) => runBehind(operation, invocation),
      absent: refuseToRun('WithCircuitBreaker'),
    });
    Reflect.defineMetadata(OPERATIONS, [...others, operation], method);
  };
}

function operationOf(
  circuit: string | CircuitBreakerConfig,
  options: WithCircuitBreakerOptions,
  declaration: Declaration,
): CircuitOperation {
  const { fallback } = checkOptions(options, RULES, 'WithCircuitBreaker', declaration);
  const config = Object.freeze(typeof circuit === 'string' ? { name: circuit } : { ...circuit });
  readCircuitConfig(config, `${declaration.name}: wrong options of @WithCircuitBreaker`);
  const circuits = new WeakMap<CircuitBreakerService, Circuit>();
  const circuitOf = (service: CircuitBreakerService): Circuit => {
    const circuit = circuits.get(service) ?? circuitBehind(service.create(runGiven, config));
    circuits.set(service, circuit);
    return circuit;
  };
  return { config, circuitOf, arity: arityOf(declaration), ...(fallback !== undefined && { fallback }) };
}

async function runBehind(
  { config: { errorFilter }, circuitOf, fallback, arity }: CircuitOperation,
  { service, name, host, args, proceed }: Invocation<CircuitBreakerService>,
): Promise<unknown> {
  const circuit = circuitOf(service);
  if (fallback === undefined) return circuit.run(proceed, { args, errorFilter });
  // Found before it is needed: at the first call, not in the first outage.
  const answer = fallbackOf(host, fallback, name);
  try {
    return await circuit.run(proceed, { args, errorFilter });
  } catch (error) {
    return circuit.fallBack(error, () => answer.apply(host, [...padded(args, arity), error]), errorFilter);
  }
}

type Answer = (this: object, ...args: unknown[]) => unknown;

/** Whether the class, or one that it extends, has such a method. */
export const hasMethod = (host: object, method: string): boolean => typeof Reflect.get(host, method) === 'function';

function fallbackOf(host: object, fallback: string, name: string): Answer {
  if (hasMethod(host, fallback)) return Reflect.get(host, fallback) as Answer;
  throw new InvalidOptionsError(`${name}: wrong options of @WithCircuitBreaker`, [noSuchMethod(fallback)]);
}

export const noSuchMethod = (fallback: string): string => `fallback: there is no method ${JSON.stringify(fallback)}`;

/** Parameters with a default value are not part of a function's `length`. */
function arityOf({ original }: Declaration): number {
  const { names, isOpen } = parameterListOf(original);
  return isOpen ? original.length : names.length;
}

const padded = (args: readonly unknown[], length: number): unknown[] =>
  Array.from({ length: Math.max(args.length, length) }, (_, index) => args[index]);
