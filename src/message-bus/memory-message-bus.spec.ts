import { describeMessageBusContract } from '../../test/contracts/message-bus.contract.ts';
import { MemoryMessageBus } from './memory-message-bus.ts';

describeMessageBusContract('MemoryMessageBus', {
  isShared: false,
  create: (onFailure) => new MemoryMessageBus(onFailure),
});
