"""fintech-merchants: onboarding, status, pricing and the settlement profile of merchants.

It provides ``fintech_kernel.contracts.merchants.MerchantDirectory``. ``plugin`` is where the parts meet.
"""
