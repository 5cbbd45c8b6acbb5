export const DASHBOARD = '<!doctype html><script nonce="%NONCE%"></script><title>Keep</title>';
